//! Plain text: words, characters and lines, counted in one pass in bounded memory.

use super::Extract;
use super::sidecar::{More, Sidecar, Sink};
use super::source::{Source, inner_nul};
use crate::actions::encoding::{self, Found, Stream};
use crate::model::text::counted;
use crate::model::{Failure, Input, Report};
use std::path::PathBuf;

/// What was counted so far.
#[derive(Debug, Default)]
struct Count {
    words: u64,
    characters: u64,
    ends: u64,
    in_word: bool,
    in_line: bool,
    first_nul: Option<u64>,
    /// Whether a character beyond ASCII was seen.
    wide: bool,
}

impl Count {
    fn add(&mut self, text: &str) {
        for c in text.chars() {
            if c == '\0' && self.first_nul.is_none() {
                self.first_nul = Some(self.ends + 1);
            }
            self.characters += 1;
            let space = c.is_whitespace();
            self.words += u64::from(!space && !self.in_word);
            self.in_word = !space;
            self.in_line = c != '\n';
            self.ends += u64::from(c == '\n');
        }
        self.wide |= !text.is_ascii();
    }

    fn lines(&self) -> u64 {
        self.ends + u64::from(self.in_line)
    }
}

/// Counts a text file and writes its sidecar.
pub(super) fn extract(
    options: &Extract,
    input: &Input,
    mut source: Source<'_>,
    target: PathBuf,
) -> Result<Report, Failure> {
    let mut buffer = Vec::new();
    source.fill(&mut buffer)?;
    let mut found = encoding::detect(&buffer, source.ended(), options.encoding);
    if let Some(at) = inner_nul(&buffer, found.encoding) {
        let line = memchr::memchr_iter(b'\n', &buffer[..at]).count() as u64 + 1;
        return Err(not_text(&source, line));
    }
    source.check_tail(found.encoding)?;
    let count = loop {
        match pass(&mut source, &mut buffer, found)? {
            Ok(count) => break count,
            Err(other) => {
                source.restart();
                buffer.clear();
                source.fill(&mut buffer)?;
                found = other;
            }
        }
    };
    if let Some(line) = count.first_nul {
        return Err(not_text(&source, line));
    }
    if count.words == 0 {
        let what = if source.offset() == 0 { "the file is empty" } else { "the file holds nothing but white space" };
        return Err(source.blame(Failure::permanent("empty", what)));
    }
    let (lines, words, characters) = (count.lines(), count.words, count.characters);
    let encoding = found.encoding.name();
    Sink::new(source.desk, target, options.on_exists, false).finish(|_| Sidecar {
        encoding: Some(encoding),
        more: More::Text { words, characters, lines },
        ..Sidecar::new(input, "text", source.offset(), source.digest())
    })?;
    let note = format!("{}, {}, {encoding}", counted(lines, "line"), counted(words, "word"));
    Ok(Report { note: Some(note), ..Report::default() })
}

fn not_text(source: &Source<'_>, line: u64) -> Failure {
    let mut failure = source.blame(Failure::permanent("not_text", format!("not a text: NUL byte in line {line}")));
    failure.line = Some(line);
    failure
}

/// Reads the file to its end, the first chunk being in `buffer`. The inner error is the encoding to start again with.
fn pass(source: &mut Source<'_>, buffer: &mut Vec<u8>, found: Found) -> Result<Result<Count, Found>, Failure> {
    let mut stream = Stream::new(found.encoding);
    let mut count = Count::default();
    let mut at = found.mark as u64;
    let mut skip = found.mark;
    loop {
        let last = source.ended();
        let raw = &buffer[skip.min(buffer.len())..];
        if let Err(malformed) = stream.push(raw, last, |t| count.add(t)) {
            if found.tentative
                && !count.wide
                && let Some(encoding) = encoding::instead_of_utf8(raw, last)
            {
                return Ok(Err(Found { encoding, mark: 0, tentative: false }));
            }
            let byte = (at + malformed.consumed as u64).saturating_sub(malformed.back as u64);
            let line = count.ends + 1;
            let message = format!("line {line}: byte {byte} of the file is not valid {}", found.encoding.name());
            let mut failure = source.blame(Failure::permanent("bad_encoding", message));
            failure.line = Some(line);
            failure.constant = format!("bytes that are not valid {}", found.encoding.name());
            return Err(failure);
        }
        if last {
            return Ok(Ok(count));
        }
        at += raw.len() as u64;
        skip = 0;
        buffer.clear();
        source.fill(buffer)?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Extract;
    use super::super::source::CHUNK;
    use super::super::tests::{desk, run};
    use encoding_rs::{EUC_KR, SHIFT_JIS};
    use serde_json::json;

    fn counts(raw: &[u8]) -> serde_json::Value {
        let desk = desk();
        run(&desk, Extract::default(), "a.txt", raw).unwrap();
        let v = desk.json("a.txt.json");
        json!([v["words"], v["characters"], v["lines"], v["encoding"]])
    }

    fn code(raw: &[u8]) -> String {
        let desk = desk();
        let failure = run(&desk, Extract::default(), "a.txt", raw).unwrap_err();
        assert!(desk.written().is_empty(), "nothing is opened for a file that fails");
        format!("{} {}", failure.class, failure.code)
    }

    #[test]
    fn words_characters_and_lines_are_counted() {
        assert_eq!(counts(b"one two\nthree"), json!([3, 13, 2, "UTF-8"]));
        assert_eq!(counts(b"one\r\n\r\n two\r\n"), json!([2, 13, 3, "UTF-8"]));
        assert_eq!(counts("\u{feff}한글 텍스트\u{3000}끝\n".as_bytes()), json!([3, 9, 1, "UTF-8"]));
        assert_eq!(counts(&EUC_KR.encode("주문 확인\n부탁드립니다").0), json!([3, 12, 2, "EUC-KR"]));
        let japanese = "これは日本語のテキストです。注文番号と数量を確認してください。";
        assert_eq!(counts(&SHIFT_JIS.encode(japanese).0), json!([1, 31, 1, "Shift_JIS"]));
    }

    #[test]
    fn utf16_is_read_by_its_mark() {
        let mut raw = vec![0xff, 0xfe];
        raw.extend("가 나😀\n".encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(counts(&raw), json!([2, 5, 1, "UTF-16LE"]));
    }

    #[test]
    fn a_late_legacy_byte_starts_the_pass_again() {
        let mut raw = b"word ".repeat(CHUNK / 2);
        raw.extend_from_slice(&EUC_KR.encode("마지막 줄은 한글입니다").0);
        let words = CHUNK as u64 / 2 + 3;
        assert_eq!(counts(&raw), json!([words, 5 * (words - 3) + 12, 1, "EUC-KR"]));
    }

    #[test]
    fn a_character_may_be_cut_by_a_chunk() {
        let mut raw = vec![b'x'; CHUNK - 1];
        raw.extend_from_slice("가나".as_bytes());
        assert_eq!(counts(&raw), json!([1, CHUNK + 1, 1, "UTF-8"]));
    }

    #[test]
    fn what_is_no_text_fails_for_good() {
        assert_eq!(code(b""), "permanent empty");
        assert_eq!(code(b"\xef\xbb\xbf"), "permanent empty");
        assert_eq!(code(" \n\t\u{3000}\r\n".as_bytes()), "permanent empty");
        assert_eq!(code(b"a\0b\n"), "permanent not_text");
        assert_eq!(code(b"PK\x03\x04\x14\0\x06\0rest\0\0"), "permanent not_text", "its tail is no room");
        assert_eq!(code(&[&b"x".repeat(2 * CHUNK)[..], b"\0x"].concat()), "permanent not_text");
        assert_eq!(code(&[&b"\xef\xbb\xbfabc"[..], b"\xff\n"].concat()), "permanent bad_encoding");
    }

    #[test]
    fn a_tail_of_nul_bytes_is_waited_for() {
        assert_eq!(code(b"abc\0\0\0\0"), "transient incomplete");
        let mut utf16 = vec![0xff, 0xfe];
        utf16.extend("ab\n".encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(counts(&utf16), serde_json::json!([1, 3, 1, "UTF-16LE"]), "the last byte of a unit is no tail");
        utf16.extend([0, 0]);
        assert_eq!(code(&utf16), "transient incomplete");
    }

    #[test]
    fn bad_bytes_are_placed() {
        let desk = desk();
        let mut raw = "가나다라\n마바사아".as_bytes().to_vec();
        raw[16] = 0xff;
        let failure = run(&desk, Extract::default(), "a.txt", &raw).unwrap_err();
        assert_eq!(failure.message, "line 2: byte 16 of the file is not valid UTF-8");
        assert_eq!((failure.line, failure.file.as_deref()), (Some(2), Some("/inbox/a.txt")));
    }
}
