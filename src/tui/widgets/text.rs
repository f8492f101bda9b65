//! Text of an exact display width. Widths are those of the terminal: a Hangul syllable is two columns wide.

use super::Glyphs;
use crate::model::text::escape;
use ratatui::style::Style;
use ratatui::text::Span;
use unicode_width::UnicodeWidthStr;

/// Longest text that is measured, in bytes; what lies behind it could not be shown anyway.
const MEASURED_MAX: usize = 8 * 1024;

/// Escaped text of bounded length.
fn clean(text: &str) -> String {
    let mut end = text.len().min(MEASURED_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    escape(&text[..end]).into_owned()
}

/// The characters of escaped text as a reader sees them, with their widths; those without width are left out.
fn graphemes(text: &str) -> Vec<(String, usize)> {
    Span::raw(text)
        .styled_graphemes(Style::default())
        .map(|g| (g.symbol.to_owned(), g.symbol.width()))
        .filter(|(_, w)| *w > 0)
        .collect()
}

/// Columns that a text takes, once it is escaped.
#[must_use]
pub fn width(text: &str) -> usize {
    graphemes(&clean(text)).iter().map(|(_, w)| w).sum()
}

/// At most `width` columns of a text, with an ellipsis in place of what was cut.
#[must_use]
pub fn fit(text: &str, width: usize, glyphs: &Glyphs) -> String {
    let text = clean(text);
    let all = graphemes(&text);
    if all.iter().map(|(_, w)| w).sum::<usize>() <= width {
        return all.into_iter().map(|(s, _)| s).collect();
    }
    let Some(room) = width.checked_sub(1) else { return String::new() };
    let mut out = head(&all, room);
    out.push(glyphs.ellipsis);
    out
}

/// At most `width` columns of a name, cut in the middle so that its end (an extension, a number) stays readable.
#[must_use]
pub fn fit_middle(text: &str, width: usize, glyphs: &Glyphs) -> String {
    fit_around(text, width, width.saturating_sub(1) / 2, glyphs)
}

/// At most `width` columns of a text, cut so that up to `back` columns of its end stay.
fn fit_around(text: &str, width: usize, back: usize, glyphs: &Glyphs) -> String {
    let text = clean(text);
    let all = graphemes(&text);
    if all.iter().map(|(_, w)| w).sum::<usize>() <= width {
        return all.into_iter().map(|(s, _)| s).collect();
    }
    let Some(room) = width.checked_sub(1) else { return String::new() };
    let back = back.min(room);
    let reversed: Vec<_> = all.iter().rev().cloned().collect();
    let tail: Vec<_> = graphemes(&head(&reversed, back)).into_iter().rev().map(|(s, _)| s).collect();
    let mut out = head(&all, room - back);
    out.push(glyphs.ellipsis);
    out.extend(tail);
    out
}

/// At most `width` columns of a URL without its scheme, cut so that its host and its last part stay, as far as there is
/// room for both: `api.partner.com/v2…/81`.
#[must_use]
pub fn fit_url(url: &str, to: usize, glyphs: &Glyphs) -> String {
    let place = url.split(['?', '#']).next().unwrap_or(url).trim_end_matches('/');
    let Some((host, _)) = place.split_once('/') else { return fit_middle(url, to, glyphs) };
    let room = to.saturating_sub(1);
    let last = place.rfind('/').map_or("", |at| &url[at..]);
    // What the host leaves; half of it all, where it leaves next to nothing.
    let beside = Some(room.saturating_sub(width(host))).filter(|left| left * 3 >= room).unwrap_or(room / 2);
    fit_around(url, to, width(last).min(beside), glyphs)
}

/// The first characters that fit into `room` columns.
fn head(all: &[(String, usize)], room: usize) -> String {
    let mut used = 0;
    all.iter()
        .take_while(|(_, w)| {
            used += w;
            used <= room
        })
        .map(|(s, _)| s.as_str())
        .collect()
}

/// Exactly `width` columns: cut, or filled with spaces on the right.
#[must_use]
pub fn left(text: &str, to: usize, glyphs: &Glyphs) -> String {
    let mut out = fit(text, to, glyphs);
    let used = width(&out);
    out.extend(std::iter::repeat_n(' ', to.saturating_sub(used)));
    out
}

/// Exactly `width` columns: cut, or filled with spaces on the left.
#[must_use]
pub fn right(text: &str, to: usize, glyphs: &Glyphs) -> String {
    let cut = fit(text, to, glyphs);
    let mut out = " ".repeat(to.saturating_sub(width(&cut)));
    out.push_str(&cut);
    out
}

/// At most `max` lines of at most `width` columns, broken between words (or parts of a path) where that is possible. What does not fit is
/// replaced by an ellipsis at the end of the last line.
#[must_use]
pub fn wrap(text: &str, to: usize, max: usize, glyphs: &Glyphs) -> Vec<String> {
    if to == 0 || max == 0 {
        return Vec::new();
    }
    let all = graphemes(&clean(text));
    let mut lines = Vec::new();
    let mut at = 0;
    while at < all.len() {
        if lines.len() + 1 == max {
            let rest: String = all[at..].iter().map(|(s, _)| s.as_str()).collect();
            lines.push(fit(&rest, to, glyphs));
            break;
        }
        let mut used = 0;
        let mut end = at;
        let mut space = None;
        while end < all.len() && used + all[end].1 <= to {
            used += all[end].1;
            end += 1;
            if matches!(all[end - 1].0.as_str(), " " | "/") {
                space = Some(end);
            }
        }
        // A character wider than the line would never fit: leave the rest out.
        if end == at {
            break;
        }
        if end < all.len() {
            end = space.filter(|s| *s > at).unwrap_or(end);
        }
        let line: String = all[at..end].iter().map(|(s, _)| s.as_str()).collect();
        lines.push(line.trim_end().to_owned());
        at = end;
    }
    lines
}

/// The columns of a text from `from` on, at most `to` of them: a window on a long line. A wide character on the edge
/// becomes a space.
#[must_use]
pub fn window(text: &str, from: usize, to: usize) -> String {
    let mut out = String::new();
    let mut at = 0;
    for (symbol, w) in graphemes(&clean(text)) {
        let (start, end) = (at, at + w);
        at = end;
        if end <= from {
            continue;
        }
        if start < from || end > from + to {
            out.extend(std::iter::repeat_n(' ', end.min(from + to).saturating_sub(start.max(from))));
        } else {
            out.push_str(&symbol);
        }
        if end >= from + to {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::UNICODE as G;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(width("주문.csv"), 8);
        assert_eq!(left("주문", 6, &G), "주문  ");
        assert_eq!(right("주문", 6, &G), "  주문");
        assert_eq!(fit("주문서류", 5, &G), "주문…");
        assert_eq!(fit("주문서류", 4, &G), "주…");
        assert_eq!(fit_middle("orders-2026-11-20.csv", 12, &G), "orders…0.csv");
    }

    #[test]
    fn host_and_last_part_of_a_url_stay() {
        let url = "api.partner.com/v2/items/81";
        assert_eq!(fit_url(url, 27, &G), url);
        assert_eq!(fit_url(url, 23, &G), "api.partner.com/v2/…/81");
        assert_eq!(fit_url(url, 19, &G), "api.partner.com…/81");
        assert_eq!(fit_url(url, 12, &G), "api.part…/81");
        assert_eq!(fit_url("a.io/v2/list?page=100", 16, &G), "a.io…st?page=100");
        assert_eq!(fit_url("a.io/v2/어제/주문/", 12, &G), "a.io/…/주문/");
        assert_eq!(fit_url("a-host-with-a-long-name.example.com/", 12, &G), "a-host….com/");
        assert_eq!(fit_url("/", 0, &G), "");
    }

    #[test]
    fn hostile_text_is_written_out() {
        assert_eq!(fit("a\x1b[2Jb", 20, &G), "a\\x1b[2Jb");
        assert_eq!(width("\u{202e}"), "\\u{202e}".len());
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 8, 9, &G), ["one two", "three"]);
        assert_eq!(wrap("/srv/inbox/a.csv", 12, 9, &G), ["/srv/inbox/", "a.csv"]);
        assert_eq!(wrap("abcdefghij", 4, 9, &G), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("one two three four", 8, 2, &G), ["one two", "three f…"]);
        assert_eq!(wrap("사과", 1, 9, &G), Vec::<String>::new());
    }

    #[test]
    fn a_window_keeps_columns_in_place() {
        assert_eq!(window("1042,포도,12", 5, 4), "포도");
        assert_eq!(window("1042,포도,12", 6, 4), " 도,");
    }

    proptest! {
        #[test]
        fn widths_are_exact(text in any::<String>(), to in 0usize..60) {
            prop_assert!(width(&fit(&text, to, &G)) <= to);
            prop_assert!(width(&fit_middle(&text, to, &G)) <= to);
            prop_assert!(width(&fit_url(&text, to, &G)) <= to);
            prop_assert_eq!(width(&left(&text, to, &G)), to);
            prop_assert_eq!(width(&right(&text, to, &G)), to);
            prop_assert!(width(&window(&text, to, 7)) <= 7);
            for line in wrap(&text, to, 5, &G) {
                prop_assert!(width(&line) <= to);
            }
        }
    }
}
