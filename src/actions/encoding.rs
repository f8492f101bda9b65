//! Which encoding a file is written in, and how to decode it piece by piece.
//!
//! It guarantees that a byte order mark wins over everything, that a declared encoding wins over any guess, and that
//! what is valid UTF-8 is read as UTF-8. Only then is a legacy encoding guessed, with Korean preferred where the bytes
//! are plausible Hangul: a short file of Korean names tells a general detector too little.
//! It refuses to take a UTF-8 file with a few damaged bytes for a legacy encoding: that would turn a whole file into
//! well-formed nonsense.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, DecoderResult, EUC_KR, Encoding, GBK, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;

/// A UTF-8 reading survives one damaged place for every this many whole characters beyond ASCII.
const WHOLE_PER_DAMAGED: usize = 4;
/// Text is plausible Korean if it has this many everyday syllables for every character that Korean text rarely has.
const COMMON_PER_RARE: usize = 4;
/// And this many for every place where the bytes are no Korean text at all: it may be damaged.
const COMMON_PER_DAMAGED: usize = 8;

/// Bytes that UTF-16 without a byte order mark is told from; even.
const UTF16_SAMPLE: usize = 4096;
/// And at least one of so many of its characters is ASCII: delimiters and line ends are.
const UTF16_PER_ASCII: usize = 5;

/// Names in daily use that the Encoding Standard does not list.
const CODE_PAGES: [(&[&str], &Encoding); 4] = [
    (&["cp949", "ms949", "uhc"], EUC_KR),
    (&["cp932", "ms932"], SHIFT_JIS),
    (&["cp936", "ms936"], GBK),
    (&["cp950", "ms950"], BIG5),
];

/// The encoding to read a file with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    /// The encoding.
    pub(super) encoding: &'static Encoding,
    /// Length of the byte order mark, in bytes.
    pub(super) mark: usize,
    /// Whether bytes further on may overrule it: only a UTF-8 reading of the first bytes may be.
    pub(super) tentative: bool,
}

/// Bytes that the encoding does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where they start in the decoded piece.
    pub(super) at: usize,
    /// The first of them.
    pub(super) byte: u8,
}

/// The encoding with this label, as configured, if files may be declared to have it. ISO-2022-JP is stateful over line
/// ends, and the "replacement" encoding is no encoding at all.
pub(super) fn by_label(label: &str) -> Option<&'static Encoding> {
    if let Some((_, encoding)) =
        CODE_PAGES.iter().find(|(names, _)| names.iter().any(|n| n.eq_ignore_ascii_case(label)))
    {
        return Some(encoding);
    }
    Encoding::for_label(label.as_bytes()).filter(|e| e.name() != "ISO-2022-JP" && e.name() != "replacement")
}

/// Whether the encoding has units of two bytes.
pub(super) fn is_utf16(encoding: &'static Encoding) -> bool {
    encoding == UTF_16LE || encoding == UTF_16BE
}

/// The encoding of a file that starts with `head`; `whole`: that is all of it.
pub(super) fn detect(head: &[u8], whole: bool, declared: Option<&'static Encoding>) -> Found {
    if let Some((encoding, mark)) = Encoding::for_bom(head) {
        return Found { encoding, mark, tentative: false };
    }
    if let Some(encoding) = declared {
        return Found { encoding, mark: 0, tentative: false };
    }
    match std::str::from_utf8(head) {
        Ok(_) => Found { encoding: UTF_8, mark: 0, tentative: true },
        Err(e) if e.error_len().is_none() && !whole => Found { encoding: UTF_8, mark: 0, tentative: true },
        Err(_) => match instead_of_utf8(head, whole) {
            Some(encoding) => Found { encoding, mark: 0, tentative: false },
            None => Found { encoding: UTF_8, mark: 0, tentative: false },
        },
    }
}

/// The legacy encoding of bytes that are not valid UTF-8, or `None` where they are damaged UTF-8.
pub(super) fn instead_of_utf8(sample: &[u8], whole: bool) -> Option<&'static Encoding> {
    let (mut wide, mut damaged) = (0, 0);
    for (i, chunk) in sample.utf8_chunks().enumerate() {
        wide += chunk.valid().bytes().filter(|b| *b >= 0xc0).count();
        let new_place = i == 0 || !chunk.valid().is_empty();
        damaged += usize::from(new_place && !chunk.invalid().is_empty());
    }
    if wide >= damaged * WHOLE_PER_DAMAGED {
        return None;
    }
    if is_plausible_korean(sample) {
        return Some(EUC_KR);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, whole);
    Some(detector.guess(None, Utf8Detection::Deny))
}

/// UTF-16 without a byte order mark, of bytes that hold NULs: read as units of two bytes they are text without any
/// control character, and much of it is ASCII; read one by one they are none, even without the NULs.
pub(super) fn utf16_without_mark(head: &[u8]) -> Option<&'static Encoding> {
    let head = &head[..head.len().min(UTF16_SAMPLE) & !1];
    let ascii_in = |unit: fn([u8; 2]) -> u16| {
        let units = head.chunks_exact(2).map(|u| unit([u[0], u[1]]));
        let mut ascii = 0;
        for c in char::decode_utf16(units.clone()) {
            match c {
                Ok('\t' | '\n' | '\r' | ' '..='~') => ascii += 1,
                Ok(c) if c.is_control() || c.is_ascii() => return 0,
                Ok(_) => {}
                // A pair may be cut at the end.
                Err(half) if units.clone().next_back() == Some(half.unpaired_surrogate()) => {}
                Err(_) => return 0,
            }
        }
        ascii
    };
    let bytes: Vec<u8> = head.iter().copied().filter(|b| *b != 0).collect();
    if std::str::from_utf8(&bytes).is_ok() && (head.len() - bytes.len()) * 4 < head.len() {
        return None; // a few stray NULs in other text
    }
    let (little, big) = (ascii_in(u16::from_le_bytes), ascii_in(u16::from_be_bytes));
    let (encoding, most) = if little >= big { (UTF_16LE, little) } else { (UTF_16BE, big) };
    (most > 0 && most * UTF16_PER_ASCII >= head.len() / 2).then_some(encoding)
}

/// Whether bytes beyond ASCII form Hangul syllables of everyday use (KS X 1001: both bytes from 0xA1 on), beside
/// symbols, and next to little else. In Chinese and Japanese encodings the same bytes would be hanja, single letters
/// and syllables that no Korean word has; in single-byte encodings a letter is followed by ASCII, malformed here.
fn is_plausible_korean(sample: &[u8]) -> bool {
    let (mut common, mut rare, mut damaged) = (0, 0, 0);
    let mut i = 0;
    while let Some(&lead) = sample.get(i) {
        i += 1;
        if lead < 0x80 {
            continue;
        }
        let Some(&trail) = sample.get(i) else { break };
        i += 1;
        match (lead, trail) {
            (0xb0..=0xc8, 0xa1..=0xfe) => common += 1,
            (0xa1..=0xa3 | 0xa6..=0xac, 0xa1..=0xfe) => {} // symbols, full-width letters
            (0xa4 | 0xa5 | 0xca..=0xfd, 0xa1..=0xfe) => rare += 1,
            (0x81..=0xc6, b'A'..=b'Z' | b'a'..=b'z' | 0x81..=0xfe) => rare += 1,
            _ => {
                damaged += 1;
                i -= usize::from(trail < 0x80); // it stands for itself
            }
        }
    }
    common > 0 && common >= rare * COMMON_PER_RARE + damaged * COMMON_PER_DAMAGED
}

/// Decodes a piece that starts and ends between characters. With a fault, the bytes at fault are U+FFFD in the text.
pub(super) fn decode<'a>(encoding: &'static Encoding, raw: &'a [u8]) -> (Cow<'a, str>, Option<Fault>) {
    if encoding == UTF_8 {
        return match std::str::from_utf8(raw) {
            Ok(text) => (Cow::Borrowed(text), None),
            Err(e) => {
                let at = e.valid_up_to();
                (String::from_utf8_lossy(raw), Some(Fault { at, byte: raw[at] }))
            }
        };
    }
    let (text, malformed) = encoding.decode_without_bom_handling(raw);
    let fault = malformed.then(|| first_fault(encoding, raw)).flatten();
    (text, fault)
}

/// Text without regard to faults, for excerpts.
pub(super) fn decode_lossy(encoding: &'static Encoding, raw: &[u8]) -> String {
    encoding.decode_without_bom_handling(raw).0.into_owned()
}

/// Where the first malformed sequence of a piece starts.
fn first_fault(encoding: &'static Encoding, raw: &[u8]) -> Option<Fault> {
    let malformed = Stream::new(encoding).push(raw, true, |_| {}).err()?;
    let at = malformed.consumed.checked_sub(malformed.back)?;
    Some(Fault { at, byte: *raw.get(at)? })
}

/// Decodes a stream in pieces that may cut characters.
pub(super) struct Stream {
    decoder: encoding_rs::Decoder,
    out: Vec<u8>,
}

/// Bytes of decoded text handed on at once.
const PIECE: usize = 16 * 1024;

/// A malformed sequence in a stream. It starts `back` bytes before the end of what was consumed of the piece pushed
/// last, perhaps in an earlier piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// Bytes of the piece that were consumed.
    pub(super) consumed: usize,
    /// Bytes between the start of the sequence and there.
    pub(super) back: usize,
}

impl Stream {
    /// A decoder at the start of a stream, behind any byte order mark.
    pub(super) fn new(encoding: &'static Encoding) -> Self {
        Self { decoder: encoding.new_decoder_without_bom_handling(), out: vec![0; PIECE] }
    }

    /// Decodes all of `raw` and hands the text on; `last`: nothing follows.
    pub(super) fn push(&mut self, raw: &[u8], last: bool, mut text: impl FnMut(&str)) -> Result<(), Malformed> {
        let mut consumed = 0;
        loop {
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(&raw[consumed..], &mut self.out, last);
            consumed += read;
            if let Ok(piece) = std::str::from_utf8(&self.out[..written]) {
                text(piece);
            }
            match result {
                DecoderResult::InputEmpty => return Ok(()),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(len, behind) => {
                    return Err(Malformed { consumed, back: usize::from(len) + usize::from(behind) });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{EUC_JP, WINDOWS_1251, WINDOWS_1252};

    fn guess(text: &str, encoding: &'static Encoding) -> &'static str {
        let (raw, _, unmappable) = encoding.encode(text);
        assert!(!unmappable, "{text} has no form in {}", encoding.name());
        detect(&raw, true, None).encoding.name()
    }

    #[test]
    fn korean_is_recognised_however_short() {
        for text in [
            "이름,나이\n김철수,30\n이영희,25\n박민수,41\n",
            "id,이름\n1,가\n2,나\n3,다\n",
            "번호,상품명,가격\n1,사과,1000\n2,배,2000\n3,포도,3000\n",
            "서울특별시 강남구 테헤란로 123번길",
            "안녕하세요. 오늘 주문한 상품은 언제 도착하나요?",
            "a,b\n1,한글\n",
            "회사,지역\n㈜한국상사,부산\n",
            "대한민국(大韓民國)은 민주공화국이다. 대한민국의 주권은 국민에게 있다.",
            "펲시콜라와 똠방각하를 좋아하는 사람들의 모임에서 만난 이야기입니다",
            "주문번호;수량;비고\n1001;3;빠른 배송 부탁드립니다\n1002;1;\n1003;12;부재 시 경비실\n",
        ] {
            assert_eq!(guess(text, EUC_KR), "EUC-KR", "{text}");
        }
    }

    #[test]
    fn other_legacy_encodings_are_still_recognised() {
        for (text, encoding) in [
            ("これは日本語のテキストです。注文番号と数量を確認してください。", SHIFT_JIS),
            ("これは日本語のテキストです。注文番号と数量を確認してください。", EUC_JP),
            ("東京都,大阪府\n注文,数量\n", EUC_JP),
            ("北京,上海\n广州,深圳\n", GBK),
            ("姓名,年龄\n张伟,30\n王芳,25\n李娜,41\n", GBK),
            ("注文,数量\n1,りんご\n2,バナナ\n", EUC_JP),
            ("这是一个中文文本文件，包含订单编号和数量，请确认后回复。", GBK),
            ("這是一個中文文字檔案，包含訂單編號和數量，請確認後回覆。", BIG5),
            ("Это русский текст с номером заказа и количеством товара.", WINDOWS_1251),
            ("Le café était fermé à Noël, déjà; garçon, où êtes-vous?", WINDOWS_1252),
            ("name,city\nJürgen,Köln\nRené,Orléans\n", WINDOWS_1252),
        ] {
            assert_eq!(guess(text, encoding), encoding.name(), "{text}");
        }
    }

    #[test]
    fn marks_and_declarations_win() {
        let found = detect(b"\xef\xbb\xbfa", true, Some(EUC_KR));
        assert_eq!((found.encoding, found.mark, found.tentative), (UTF_8, 3, false));
        assert_eq!(detect(b"\xff\xfea\0", true, None).encoding, UTF_16LE);
        assert_eq!(detect(b"\xfe\xff\0a", true, None).mark, 2);
        assert_eq!(detect(b"abc", true, Some(EUC_KR)).encoding, EUC_KR);
        assert!(detect("가나".as_bytes(), true, None).tentative);
        assert_eq!(detect(&"가나".as_bytes()[..5], false, None).encoding, UTF_8, "cut in a character");
    }

    #[test]
    fn damaged_utf8_is_not_taken_for_another_encoding() {
        let mut raw = "가나다라마바사 아자차카타파하".as_bytes().to_vec();
        raw[4] = 0xff;
        let found = detect(&raw, true, None);
        assert_eq!((found.encoding, found.tentative), (UTF_8, false));
        let (text, fault) = decode(UTF_8, &raw);
        assert!(text.contains('\u{fffd}'));
        assert_eq!(fault.map(|f| f.at), Some(3));
    }

    #[test]
    fn faults_are_placed_exactly() {
        let (raw, ..) = EUC_KR.encode("가나,다");
        let mut raw = raw.into_owned();
        raw.splice(5..5, *b"\xff,");
        let (text, fault) = decode(EUC_KR, &raw);
        assert_eq!(fault, Some(Fault { at: 5, byte: 0xff }), "{text}");
        assert_eq!(decode(EUC_KR, b"abc\xb0").1, Some(Fault { at: 3, byte: 0xb0 }), "cut in a character");
        assert_eq!(decode(UTF_16LE, b"a\0b").1.map(|f| f.at), Some(2));
        assert_eq!(decode(EUC_KR, b"plain").1, None);
    }

    #[test]
    fn utf16_is_told_without_a_mark() {
        let text = "id,이름\n1,김철수\n".repeat(300);
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!((utf16_without_mark(&le), utf16_without_mark(&be)), (Some(UTF_16LE), Some(UTF_16BE)));
        assert_eq!(utf16_without_mark(&le[..7]), Some(UTF_16LE), "cut in a unit");
        assert_eq!(utf16_without_mark(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(utf16_without_mark(b"id,v\n1,\0\n"), None);
        assert_eq!(utf16_without_mark(b"id,v\0\n1,2\n"), None);
        assert_eq!(utf16_without_mark(&[&EUC_KR.encode("이름,나이").0, &b"\0\n"[..]].concat()), None);
        assert_eq!(utf16_without_mark(b""), None);
    }

    #[test]
    fn labels_that_no_file_can_have_are_refused() {
        assert_eq!(by_label("cp949"), Some(EUC_KR));
        assert_eq!(by_label("utf-8"), Some(UTF_8));
        assert_eq!((by_label("iso-2022-jp"), by_label("hz-gb-2312"), by_label("klingon")), (None, None, None));
    }

    #[test]
    fn a_stream_may_cut_characters() {
        let text = "가나다 abc 라마바".repeat(3000);
        let (raw, ..) = EUC_KR.encode(&text);
        let mut stream = Stream::new(EUC_KR);
        let mut out = String::new();
        let pieces: Vec<_> = raw.chunks(7).collect();
        for (i, piece) in pieces.iter().enumerate() {
            stream.push(piece, i + 1 == pieces.len(), |t| out.push_str(t)).unwrap();
        }
        assert!(out == text);
    }
}
