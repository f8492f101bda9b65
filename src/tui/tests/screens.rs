//! What is on the screen, as text.

use super::fixture::*;
use crate::tui::theme::Depth;

#[test]
fn look() {
    for (w, h) in [(120, 36), (80, 24), (60, 15)] {
        println!("{}", Bench::busy(w, h, Depth::Mono).screen());
    }
}
