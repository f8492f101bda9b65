//! Which encodings can be cut into records as they are, and how the others become UTF-8.
//!
//! A text can be cut raw if the bytes of delimiters, quotes and line ends are part of no other character: then the
//! workers decode their chunks, at the same time. It guarantees that malformed bytes are never made up for: where the
//! text is decoded here, they become [`MALFORMED`], which no UTF-8 text holds, so that the row that they are in is bad.

use crate::actions::encoding;
use crate::model::Failure;
use encoding_rs::{BIG5, Decoder, DecoderResult, Encoding, GB18030, GBK, SHIFT_JIS};

/// Stands for a malformed sequence in text that was decoded.
pub(super) const MALFORMED: u8 = 0xff;
/// Bytes decoded at once.
const PIECE: usize = 64 * 1024;

/// Whether records can be cut at these bytes without decoding.
pub(super) fn cuts_raw(encoding: &'static Encoding, marks: &[u8]) -> bool {
    if encoding::is_utf16(encoding) {
        return false;
    }
    // Their second bytes start at `@`, or are digits.
    let is_trailing = |b: u8| b >= 0x40 || b.is_ascii_digit();
    let has_ascii_trails = [SHIFT_JIS, BIG5, GBK, GB18030].contains(&encoding);
    // In EUC-KR, a second byte may be a letter, and in no encoding is a letter or a digit a mark.
    !marks.iter().any(|b| b.is_ascii_alphanumeric() || (has_ascii_trails && is_trailing(*b)))
}

/// Decodes a stream to UTF-8.
pub(super) struct Recoder {
    decoder: Decoder,
    raw: Vec<u8>,
    /// What of `raw` is not decoded yet.
    left: std::ops::Range<usize>,
    /// Whether `raw` holds the last bytes.
    last: bool,
    text: Vec<u8>,
    /// What of `text` was not handed on yet.
    ready: std::ops::Range<usize>,
    done: bool,
}

impl Recoder {
    /// A decoder for a stream that starts with `head`, behind any byte order mark.
    pub(super) fn new(encoding: &'static Encoding, head: Vec<u8>) -> Self {
        let left = 0..head.len();
        let decoder = encoding.new_decoder_without_bom_handling();
        Self { decoder, raw: head, left, last: false, text: vec![0; PIECE], ready: 0..0, done: false }
    }

    /// Writes text to `out`; 0 at the end. `fetch` reads more raw bytes, 0 at the end.
    pub(super) fn read(
        &mut self,
        out: &mut [u8],
        mut fetch: impl FnMut(&mut [u8]) -> Result<usize, Failure>,
    ) -> Result<usize, Failure> {
        while self.ready.is_empty() && !self.done {
            if self.left.is_empty() && !self.last {
                self.raw.resize(PIECE, 0);
                let n = fetch(&mut self.raw)?;
                self.left = 0..n;
                self.last = n == 0;
            }
            self.decode();
        }
        let n = self.ready.len().min(out.len());
        out[..n].copy_from_slice(&self.text[self.ready.start..self.ready.start + n]);
        self.ready.start += n;
        Ok(n)
    }

    fn decode(&mut self) {
        let raw = &self.raw[self.left.clone()];
        let room = self.text.len() - 1; // the mark of a malformed sequence fits behind what was decoded
        let (result, read, written) =
            self.decoder.decode_to_utf8_without_replacement(raw, &mut self.text[..room], self.last);
        self.left.start += read;
        self.ready = 0..written;
        match result {
            DecoderResult::InputEmpty => self.done = self.last,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => {
                self.text[written] = MALFORMED;
                self.ready.end += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{EUC_JP, EUC_KR, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

    fn recode(encoding: &'static Encoding, raw: &[u8], head: usize, step: usize) -> Vec<u8> {
        let (head, mut rest) = raw.split_at(head.min(raw.len()));
        let mut recoder = Recoder::new(encoding, head.to_vec());
        let mut all = Vec::new();
        let mut out = vec![0; step];
        loop {
            let fetch = |to: &mut [u8]| {
                let n = rest.len().min(3).min(to.len());
                to[..n].copy_from_slice(&rest[..n]);
                rest = &rest[n..];
                Ok(n)
            };
            match recoder.read(&mut out, fetch).unwrap() {
                0 => return all,
                n => all.extend_from_slice(&out[..n]),
            }
        }
    }

    #[test]
    fn a_stream_is_decoded_however_it_is_cut() {
        let text = "이름,값\n김철수,😀30\n".repeat(50);
        let raw: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for head in [0, 1, 5, raw.len()] {
            for step in [1, 2, 100, 100_000] {
                assert_eq!(String::from_utf8(recode(UTF_16LE, &raw, head, step)).unwrap(), text);
            }
        }
        let (raw, ..) = SHIFT_JIS.encode("東京,表示\n");
        assert_eq!(recode(SHIFT_JIS, &raw, 1, 1), "東京,表示\n".as_bytes());
    }

    #[test]
    fn malformed_bytes_stay_malformed() {
        assert_eq!(recode(UTF_16LE, b"a\0\x00\xd8b\0", 0, 9), b"a\xffb", "half a pair");
        assert_eq!(recode(UTF_16BE, b"\0a\0", 0, 9), b"a\xff", "half a unit");
        assert_eq!(recode(SHIFT_JIS, b"a\x81", 0, 9), b"a\xff");
    }

    /// Whatever bytes stand in front of a mark, the mark is read as itself.
    #[test]
    fn marks_are_never_part_of_a_character_where_raw_cuts_are_made() {
        let all = [b"\x81" as &[u8], b"\x81\x30", b"\x81\x30\x81", b"\x8f", b"\x8f\xa1", b"\x8e"];
        let marks = b"\",;\t|\n\r':!#";
        let mut checked = 0;
        for label in ["utf-8", "euc-kr", "euc-jp", "shift_jis", "big5", "gbk", "gb18030", "windows-1252", "koi8-r"] {
            let encoding = encoding::by_label(label).unwrap();
            for mark in marks.iter().filter(|m| cuts_raw(encoding, &[**m])) {
                let pairs = (0..=255u8).flat_map(|a| (0x80..=255u8).map(move |b| vec![a, b]));
                let singles = (0..=255u8).map(|a| vec![a]);
                for before in all.iter().map(|b| b.to_vec()).chain(singles).chain(pairs) {
                    let raw = [&before[..], &[*mark]].concat();
                    let (text, _) = encoding.decode_without_bom_handling(&raw);
                    assert!(text.ends_with(char::from(*mark)), "{label}: {raw:x?} is {text:?}");
                    checked += 1;
                }
            }
        }
        assert!(checked > 1_000_000, "{checked}");
    }

    #[test]
    fn only_some_encodings_are_cut_raw() {
        for encoding in [UTF_8, EUC_KR, EUC_JP, WINDOWS_1252] {
            assert!(cuts_raw(encoding, b",\"") && cuts_raw(encoding, b"|"), "{}", encoding.name());
        }
        for encoding in [SHIFT_JIS, BIG5, GBK, GB18030] {
            assert!(cuts_raw(encoding, b",\"") && !cuts_raw(encoding, b"|\""), "{}", encoding.name());
        }
        assert!(!cuts_raw(UTF_16LE, b",") && !cuts_raw(UTF_16BE, b","));
        assert!(!cuts_raw(EUC_KR, b"A"));
    }
}
