//! From the bytes of a field to its text.

use super::json;
use super::record;
use super::span::{Kind, Span};
use super::time::Formats;
use encoding_rs::{DecoderResult, Encoding, UTF_8};

/// Lengths of the words that mean "no value". Bit `n`: there is one of `n` bytes; the last bit: of 63 or more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lens(u64);

impl Lens {
    /// Whether a field is a text as it stands, as most are: neither perhaps no value nor to be unescaped.
    #[inline]
    pub(super) fn is_plain(self, span: Span) -> bool {
        let may_be_null = (self.0 >> (span.end() - span.start()).min(63)) & 1 == 1;
        span.is_in_place() && !(may_be_null && span.is_bare())
    }
}

/// The fields that mean "no value".
#[derive(Debug)]
pub(super) struct Nulls {
    words: Vec<Vec<u8>>,
    lens: Lens,
}

impl Nulls {
    /// These words, in an encoding. A word that has no form in it stands nowhere.
    pub(super) fn new(words: &[String], encoding: &'static Encoding) -> Self {
        let encoded = words.iter().filter_map(|word| {
            let (bytes, _, unmappable) = encoding.encode(word);
            (!unmappable).then(|| bytes.into_owned())
        });
        let words: Vec<_> = encoded.collect();
        let lens = Lens(words.iter().fold(0, |lens, word| lens | 1 << word.len().min(63)));
        Self { words, lens }
    }

    /// How long they are.
    pub(super) fn lens(&self) -> Lens {
        self.lens
    }

    pub(super) fn contains(&self, text: &[u8]) -> bool {
        self.words.iter().any(|word| word == text)
    }
}

/// How a text is found in a field that is not as it stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Escapes {
    /// By this quote.
    Quotes(u8),
    /// By the backslashes of JSON.
    Json,
}

/// What a field is.
pub(super) enum Cell<'a> {
    /// No value.
    Null,
    /// What is wrong was said already.
    Dead,
    /// A text, in the encoding of the chunk.
    Text(&'a [u8]),
}

/// Decodes fields, one at a time.
#[derive(Debug)]
pub(super) struct Decoding {
    encoding: &'static Encoding,
    out: Vec<u8>,
}

impl Decoding {
    /// For fields in this encoding.
    pub(super) fn new(encoding: &'static Encoding) -> Self {
        Self { encoding, out: Vec::new() }
    }

    /// Adds a text as UTF-8, or says where it is malformed.
    pub(super) fn append(&mut self, text: &[u8], to: &mut Vec<u8>) -> Result<(), usize> {
        if text.is_ascii() {
            to.extend_from_slice(text);
        } else {
            let len = self.decode(text)?;
            to.extend_from_slice(&self.out[..len]);
        }
        Ok(())
    }

    /// Where a text is malformed.
    pub(super) fn fault(&mut self, text: &[u8]) -> Option<usize> {
        if self.encoding == UTF_8 {
            return std::str::from_utf8(text).err().map(|e| e.valid_up_to());
        }
        if text.is_ascii() { None } else { self.decode(text).err() }
    }

    fn decode(&mut self, text: &[u8]) -> Result<usize, usize> {
        let mut decoder = self.encoding.new_decoder_without_bom_handling();
        let room = decoder.max_utf8_buffer_length_without_replacement(text.len()).unwrap_or(usize::MAX / 2);
        if self.out.len() < room {
            self.out.resize(room, 0);
        }
        match decoder.decode_to_utf8_without_replacement(text, &mut self.out, true) {
            (DecoderResult::Malformed(len, behind), read, _) => {
                Err(read.saturating_sub(usize::from(len) + usize::from(behind)))
            }
            (_, _, written) => Ok(written),
        }
    }
}

/// The fields of one chunk, and how to read them.
pub(super) struct Cells<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) nulls: &'a Nulls,
    pub(super) escapes: Escapes,
    pub(super) formats: &'a Formats<'a>,
    pub(super) point: u8,
    /// Whether the bytes of a field are UTF-8 as they stand: so is the chunk, or it is ASCII.
    pub(super) is_utf8: bool,
}

/// Room to work in, used again and again.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) decoding: Decoding,
    /// For a text that is not as it stands.
    pub(super) buffer: Vec<u8>,
}

impl<'a> Cells<'a> {
    /// What a field is.
    pub(super) fn cell<'b>(&self, span: Span, buffer: &'b mut Vec<u8>) -> Cell<'b>
    where
        'a: 'b,
    {
        match span.kind() {
            Kind::Bare if self.nulls.contains(span.of(self.bytes)) => Cell::Null,
            Kind::Bare | Kind::Quoted => Cell::Text(span.of(self.bytes)),
            Kind::Escaped => {
                match self.escapes {
                    Escapes::Quotes(quote) => record::unquote(span.of(self.bytes), quote, buffer),
                    Escapes::Json => json::unescape(span.of(self.bytes), buffer),
                }
                Cell::Text(buffer)
            }
            Kind::Absent => Cell::Null,
            Kind::Dead => Cell::Dead,
        }
    }
}
