//! Reads JSON as it flows by, in constant memory, and says what comes.
//!
//! It guarantees that what it lets through is one JSON document by RFC 8259 in UTF-8, nested no deeper than
//! [`DEPTH_MAX`], and that the text it hands on is that document without the white space between its tokens: keys in
//! their order, numbers and strings spelled as they came. A mark of the byte order before the document is skipped, which
//! the standard allows. The document may come in pieces that are cut anywhere.

use crate::model::Failure;

/// Most arrays and objects within one another: what the readers of our outputs can read. A deeper document is refused.
pub(super) const DEPTH_MAX: usize = 127;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Text,
    Number,
    /// `true` or `false`.
    Truth,
    Null,
}

/// Who listens. Values come as [`Listener::begin`], their text, [`Listener::end`]; those within an object have their key
/// before them.
pub(super) trait Listener {
    /// A value begins; its text follows.
    fn begin(&mut self, kind: Kind) -> Result<(), Failure>;
    /// A value has ended; its text was told.
    fn end(&mut self, kind: Kind) -> Result<(), Failure>;
    /// The text of a key follows.
    fn key_begin(&mut self);
    /// The text of the key was told, its quotes included.
    fn key_end(&mut self);
    /// More of the document, in order, without white space between tokens.
    fn text(&mut self, text: &[u8]) -> Result<(), Failure>;
}

/// Why a document was refused.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is not JSON, by this reason.
    NotJson(&'static str),
    /// It is nested too deep.
    Deep,
    /// The listener refused.
    Listener(Box<Failure>),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Listener(Box::new(failure))
    }
}

/// Where the scanner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the document, so many bytes into a mark of the byte order.
    Mark(u8),
    /// Before a value that must come.
    Value,
    /// Behind `[`: a value, or the end.
    First,
    /// Behind `{`: a key, or the end.
    FirstKey,
    /// Behind a comma in an object.
    Key,
    /// Behind a key.
    Colon,
    /// Behind a value.
    After,
    /// In a text.
    Text,
    /// Behind a backslash.
    Escape,
    /// In `\u`: so many digits are to come.
    Hex(u8),
    /// In a character of several bytes: so many are to come, the next one in this range.
    Char(u8, u8, u8),
    /// In `true`, `false` or `null`: this is to come.
    Word(&'static [u8]),
    /// In a number.
    Number(Digits),
}

/// Where in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl Digits {
    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Exponent)
    }

    fn step(self, b: u8) -> Option<Self> {
        match (self, b) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Some(Self::Whole),
            (Self::Zero | Self::Whole, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Some(Self::E),
            (Self::E, b'+' | b'-') => Some(Self::Sign),
            (Self::E | Self::Sign | Self::Exponent, b'0'..=b'9') => Some(Self::Exponent),
            _ => None,
        }
    }
}

/// The state between two pieces of a document.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    /// The open arrays (false) and objects (true).
    open: Vec<bool>,
    /// Whether the text at hand is a key.
    is_key: bool,
    /// The scalar at hand.
    kind: Kind,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self { state: State::Mark(0), open: Vec::with_capacity(DEPTH_MAX), is_key: false, kind: Kind::Null }
    }

    /// Reads a piece. Where it is refused, the number of its bytes that were good comes with the reason.
    pub(super) fn feed(&mut self, piece: &[u8], to: &mut impl Listener) -> Result<(), (usize, Refused)> {
        let mut at = 0;
        while at < piece.len() {
            match self.step(&piece[at..], to) {
                Ok(used) => at += used,
                Err((good, refused)) => return Err((at + good, refused)),
            }
        }
        Ok(())
    }

    /// The document ends here.
    pub(super) fn finish(&mut self, to: &mut impl Listener) -> Result<(), Refused> {
        if let State::Number(digits) = self.state
            && digits.may_end()
        {
            self.end_scalar(to)?;
        }
        match self.state {
            State::After if self.open.is_empty() => Ok(()),
            State::Mark(0) | State::Value if self.open.is_empty() => Err(Refused::NotJson("the body is empty")),
            _ => Err(Refused::NotJson("it ends too early")),
        }
    }

    /// Reads one token, or as much of it as is there; answers the bytes used.
    fn step(&mut self, rest: &[u8], to: &mut impl Listener) -> Result<usize, (usize, Refused)> {
        let b = rest[0];
        if self.state == State::Text {
            return self.step_text(rest, to);
        }
        let refuse = |why: &'static str| Err((0, Refused::NotJson(why)));
        let is_space = matches!(b, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Mark(n) => {
                const MARK: &[u8] = b"\xef\xbb\xbf";
                if b == MARK[usize::from(n)] {
                    self.state = if n == 2 { State::Value } else { State::Mark(n + 1) };
                    return Ok(1);
                }
                if n > 0 {
                    return refuse("a value is missing");
                }
                self.state = State::Value;
                return Ok(0);
            }
            State::Value | State::First | State::FirstKey | State::Key | State::Colon | State::After if is_space => {
                return Ok(1);
            }
            _ => {}
        }
        let done = match self.state {
            State::First if b == b']' => self.close(to),
            State::FirstKey if b == b'}' => self.close(to),
            State::Value | State::First => return self.begin(b, to),
            State::FirstKey | State::Key if b == b'"' => {
                to.key_begin();
                (self.is_key, self.state) = (true, State::Text);
                to.text(b"\"").map_err(Refused::from)
            }
            State::FirstKey | State::Key => return refuse("a key is missing"),
            State::Colon if b == b':' => {
                self.state = State::Value;
                to.text(b":").map_err(Refused::from)
            }
            State::Colon => return refuse("a colon is missing"),
            State::After => match (b, self.open.last()) {
                (_, None) => return refuse("there is more behind the document"),
                (b',', Some(&is_object)) => {
                    self.state = if is_object { State::Key } else { State::Value };
                    to.text(b",").map_err(Refused::from)
                }
                (b'}', Some(true)) | (b']', Some(false)) => self.close(to),
                _ => return refuse("a comma or a bracket is missing"),
            },
            State::Escape => {
                self.state = match b {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => State::Text,
                    b'u' => State::Hex(4),
                    _ => return refuse("an escape is unknown"),
                };
                to.text(&rest[..1]).map_err(Refused::from)
            }
            State::Hex(left) => {
                if !b.is_ascii_hexdigit() {
                    return refuse("an escape is unknown");
                }
                self.state = if left == 1 { State::Text } else { State::Hex(left - 1) };
                to.text(&rest[..1]).map_err(Refused::from)
            }
            State::Char(left, low, high) => {
                if !(low..=high).contains(&b) {
                    return refuse("a text is not UTF-8");
                }
                self.state = if left == 1 { State::Text } else { State::Char(left - 1, 0x80, 0xbf) };
                to.text(&rest[..1]).map_err(Refused::from)
            }
            State::Word(word) => match word.split_first() {
                Some((&first, left)) if first == b => {
                    self.state = State::Word(left);
                    let told = to.text(&rest[..1]).map_err(Refused::from);
                    if left.is_empty() { told.and_then(|()| self.end_scalar(to)) } else { told }
                }
                _ => return refuse("a value is missing"),
            },
            State::Number(digits) => match digits.step(b) {
                Some(next) => {
                    self.state = State::Number(next);
                    to.text(&rest[..1]).map_err(Refused::from)
                }
                // The byte is no part of it: it is looked at again behind it.
                None if digits.may_end() => return self.end_scalar(to).map(|()| 0).map_err(|refused| (0, refused)),
                None => return refuse("a number is wrong"),
            },
            State::Text | State::Mark(_) => Ok(()),
        };
        done.map(|()| 1).map_err(|refused| (0, refused))
    }

    /// The first byte of a value.
    fn begin(&mut self, b: u8, to: &mut impl Listener) -> Result<usize, (usize, Refused)> {
        let (kind, state) = match b {
            b'{' => (Kind::Object, State::FirstKey),
            b'[' => (Kind::Array, State::First),
            b'"' => (Kind::Text, State::Text),
            b'-' => (Kind::Number, State::Number(Digits::Minus)),
            b'0' => (Kind::Number, State::Number(Digits::Zero)),
            b'1'..=b'9' => (Kind::Number, State::Number(Digits::Whole)),
            b't' => (Kind::Truth, State::Word(b"rue")),
            b'f' => (Kind::Truth, State::Word(b"alse")),
            b'n' => (Kind::Null, State::Word(b"ull")),
            _ => return Err((0, Refused::NotJson("a value is missing"))),
        };
        if matches!(kind, Kind::Object | Kind::Array) {
            if self.open.len() == DEPTH_MAX {
                return Err((0, Refused::Deep));
            }
            self.open.push(kind == Kind::Object);
        }
        (self.kind, self.state, self.is_key) = (kind, state, false);
        let told = to.begin(kind).and_then(|()| to.text(&[b]));
        told.map(|()| 1).map_err(|failure| (0, failure.into()))
    }

    /// The bracket that ends the innermost array or object.
    fn close(&mut self, to: &mut impl Listener) -> Result<(), Refused> {
        let (kind, bracket) = match self.open.pop() {
            Some(true) => (Kind::Object, b"}"),
            _ => (Kind::Array, b"]"),
        };
        self.state = State::After;
        to.text(bracket)?;
        Ok(to.end(kind)?)
    }

    fn end_scalar(&mut self, to: &mut impl Listener) -> Result<(), Refused> {
        self.state = State::After;
        Ok(to.end(self.kind)?)
    }

    /// The inside of a text, up to its end or to what needs a look of its own.
    fn step_text(&mut self, rest: &[u8], to: &mut impl Listener) -> Result<usize, (usize, Refused)> {
        let plain = rest.iter().position(|&b| matches!(b, b'"' | b'\\' | 0..0x20 | 0x80..)).unwrap_or(rest.len());
        let refused = |failure: Failure| (plain, failure.into());
        let Some(&b) = rest.get(plain) else {
            to.text(rest).map_err(refused)?;
            return Ok(rest.len());
        };
        self.state = match b {
            b'"' => State::Colon,
            b'\\' => State::Escape,
            0..0x20 => return Err((plain, Refused::NotJson("a text holds a control character or a line end"))),
            0xc2..=0xdf => State::Char(1, 0x80, 0xbf),
            0xe0 => State::Char(2, 0xa0, 0xbf),
            0xed => State::Char(2, 0x80, 0x9f),
            0xe1..=0xef => State::Char(2, 0x80, 0xbf),
            0xf0 => State::Char(3, 0x90, 0xbf),
            0xf1..=0xf3 => State::Char(3, 0x80, 0xbf),
            0xf4 => State::Char(3, 0x80, 0x8f),
            _ => return Err((plain, Refused::NotJson("a text is not UTF-8"))),
        };
        to.text(&rest[..=plain]).map_err(refused)?;
        if b == b'"' {
            if self.is_key {
                to.key_end();
            } else {
                self.end_scalar(to).map_err(|why| (plain, why))?;
            }
        }
        Ok(plain + 1)
    }
}

/// The content of a text with its quotes, both as they stand in a document that was let through. Half of a pair of
/// surrogates, which no character is, becomes U+FFFD.
pub(super) fn unquote(raw: &[u8]) -> String {
    let inner = raw.strip_prefix(b"\"").and_then(|r| r.strip_suffix(b"\"")).unwrap_or(raw);
    let Some(first) = memchr::memchr(b'\\', inner) else {
        return String::from_utf8_lossy(inner).into_owned();
    };
    let mut out = inner[..first].to_vec();
    let mut rest = &inner[first..];
    let put = |out: &mut Vec<u8>, c: char| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        if b != b'\\' {
            out.push(b);
            continue;
        }
        let Some((&escaped, tail)) = rest.split_first() else { break };
        rest = tail;
        let c = match escaped {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = take_hex(&mut rest).unwrap_or(0xfffd);
                let mut after = rest;
                let low = (after.strip_prefix(b"\\u")).and_then(|tail| {
                    after = tail;
                    take_hex(&mut after)
                });
                match (high, low) {
                    (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                        rest = after;
                        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                    }
                    _ => char::from_u32(high),
                }
                .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => char::from(other),
        };
        put(&mut out, c);
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn take_hex(rest: &mut &[u8]) -> Option<u32> {
    let digits = rest.get(..4)?;
    let n = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    *rest = &rest[4..];
    Some(n)
}
