//! Text from outside, made safe to show. Names are bytes; a terminal, a log line and a JSON document are not.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether a character may reach a terminal as it is. Controls (C0, DEL, C1), bidirectional overrides, zero-width
/// characters and line separators may not: they move the cursor, reorder text or hide it.
#[must_use]
pub fn is_shown(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'))
}

/// Most combining marks kept behind one character; more of them only deface the line above.
const COMBINING_MAX: usize = 4;

fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Text with everything that could act on a terminal written out: `\n`, `\t`, `\x1b`, `\u{202e}`.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| is_shown(c) && !is_combining(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut combining = 0;
    for c in text.chars() {
        combining = if is_combining(c) { combining + 1 } else { 0 };
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x100 && !is_shown(c) => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if !is_shown(c) || combining > COMBINING_MAX => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Bytes as safe text: what is UTF-8 is escaped as [`escape`] does, every other byte becomes `\xNN`.
#[must_use]
pub fn bytes(raw: &[u8]) -> String {
    let mut out = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        out.push_str(&escape(chunk.valid()));
        for b in chunk.invalid() {
            out.push_str(&format!("\\x{b:02x}"));
        }
    }
    out
}

/// A path as safe text.
#[must_use]
pub fn path(path: &Path) -> String {
    bytes(path.as_os_str().as_bytes())
}

/// At most `max` characters of `text`, with `…` in place of what was cut.
#[must_use]
pub fn cut(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let end = text.char_indices().nth(max.saturating_sub(1)).map_or(0, |(i, _)| i);
            Cow::Owned(format!("{}…", &text[..end]))
        }
    }
}

/// `18,204`: thousands apart, so that large numbers are read at a glance.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 line`, `1,200 lines`
#[must_use]
pub fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

/// The part of a message that stays the same from one failure to the next: numbers become `#`, quoted values `"…"`.
#[must_use]
pub fn constant_part(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut chars = message.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '"' {
            let rest: String = chars.clone().take_while(|&q| q != '"').collect();
            if rest.len() < message.len() && chars.clone().any(|q| q == '"') {
                for q in chars.by_ref() {
                    if q == '"' {
                        break;
                    }
                }
                out.push_str("\"…\"");
                continue;
            }
        }
        if c.is_ascii_digit() {
            while let Some(&n) = chars.peek() {
                let joins = matches!(n, '.' | ',') && chars.clone().nth(1).is_some_and(|d| d.is_ascii_digit());
                if !n.is_ascii_digit() && !joins {
                    break;
                }
                chars.next();
            }
            out.push('#');
            continue;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_is_left() {
        let hostile = "a\x1b]52;c;xx\x07\u{9b}2J\u{202e}b\r\n\u{200b}";
        let safe = escape(hostile);
        assert!(safe.chars().all(is_shown), "{safe}");
        assert_eq!(safe, "a\\x1b]52;c;xx\\x07\\x9b2J\\u{202e}b\\r\\n\\u{200b}");
        assert_eq!(bytes(b"\xff\xfe.csv"), "\\xff\\xfe.csv");
        assert_eq!(escape("주문 2026.csv"), "주문 2026.csv");
    }

    #[test]
    fn the_constant_part_leaves_values_out() {
        assert_eq!(
            constant_part("line 14, column 3: \"12,5\" is not a number"),
            "line #, column #: \"…\" is not a number"
        );
        assert_eq!(constant_part("exit code 75"), constant_part("exit code 3"));
        assert_eq!(constant_part("an open \" quote"), "an open \" quote");
    }

    #[test]
    fn cutting_counts_characters() {
        assert_eq!(cut("가나다라", 3), "가나…");
        assert_eq!(cut("가나다", 3), "가나다");
    }
}
