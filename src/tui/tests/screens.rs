//! What is on the screen, as text.

use super::fixture::*;
use crate::tui::theme::Depth;

#[test]
fn look() {
    let go = |w, h, keys: &[&str]| {
        let mut b = Bench::busy(w, h, Depth::Mono);
        for k in keys { if let Some(t) = k.strip_prefix("=") { b.text(t) } else { b.keys(k) } b.answer(); }
        println!("{}", b.screen());
    };
    go(120, 36, &["?"]);
    go(120, 36, &["R"]);
    go(120, 36, &["space space r"]);
    go(80, 24, &["s", "=x", "enter", "s", "="]);
    go(80, 24, &["/", "=state:faild"]);
    go(80, 24, &["t"]);
    go(80, 24, &[":", "=lo"]);
    go(120, 36, &["6"]);
    go(80, 24, &["tab"]);
    go(80, 24, &["tab tab"]);
    go(80, 24, &["tab tab right"]);
    go(80, 24, &["tab tab tab"]);
    go(80, 40, &["down"]);
    go(30, 6, &["down"]);
}
