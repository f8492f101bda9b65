//! Takes the packing off a body as it comes, with a window of bounded memory.
//!
//! The sender chooses how much of what was unpacked has to be remembered. What wants more than [`WINDOW_LOG_MAX`] allows is
//! refused: zstd by its decoder, brotli by its first byte, since only its extension for large windows, which no browser
//! takes either, goes beyond 16 MiB. For gzip and deflate 32 KiB are always enough.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use std::error::Error;
use std::fmt;
use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;
use zstd::zstd_safe;
use zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge;

/// The packings that are asked for, as `Accept-Encoding` has them.
pub(super) const ACCEPTED: &str = "zstd,gzip,deflate,br";
/// Largest window in powers of two: 32 MiB. A body that wants a larger one fails its call (`http_too_large`).
const WINDOW_LOG_MAX: u32 = 25;
/// Most bytes of a body that are unpacked at once.
const PIECE: usize = 16 * 1024;
/// The low seven bits of the first byte of a brotli stream with a large window.
const LARGE_WINDOW: u8 = 0x11;

/// The body of an answer, without its packing.
pub(super) struct Body(State);

enum State {
    /// As it comes.
    Plain(Incoming),
    /// Nothing of it came yet.
    Packed(Packing, Incoming),
    /// Part of it came.
    Unpacking(Box<dyn Unpack>, BytesMut),
    /// Nothing is left, or it failed.
    Over,
}

impl Body {
    /// The body of an answer with this header. If its packing is taken off, the header says so no longer, nor how long
    /// the packed body is.
    pub(super) fn new(body: Incoming, headers: &mut HeaderMap, is_unpacked: bool) -> Self {
        let packing = headers.get(CONTENT_ENCODING).filter(|_| is_unpacked).and_then(|v| Packing::of(v.as_bytes()));
        let Some(packing) = packing else { return Self(State::Plain(body)) };
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        Self(State::Packed(packing, body))
    }

    /// How long it is, if that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match &self.0 {
            State::Plain(body) => body.size_hint().exact(),
            _ => None,
        }
    }

    /// The next piece; none at its end.
    pub(super) async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match &mut self.0 {
                State::Plain(body) => return next(body).await,
                State::Packed(_, body) => {
                    let first = next(body).await?; // none: an empty body is packed by nobody
                    self.0 = match (first, std::mem::replace(&mut self.0, State::Over)) {
                        (Some(first), State::Packed(packing, body)) => {
                            State::Unpacking(packing.open(first, body)?, BytesMut::new())
                        }
                        _ => State::Over,
                    };
                }
                State::Unpacking(unpack, piece) => {
                    piece.reserve(PIECE);
                    if unpack.read_buf(piece).await.map_err(named)? > 0 {
                        return Ok(Some(piece.split().freeze()));
                    }
                    // The end of the packed part is not that of the body, which tells whether the connection is good.
                    let more = next(&mut unpack.packed().body).await?;
                    self.0 = State::Over;
                    if more.is_some() {
                        return Err(io::Error::other("something follows what was packed"));
                    }
                }
                State::Over => return Ok(None),
            }
        }
    }
}

/// The next bytes of a body that are any; none at its end.
async fn next(body: &mut Incoming) -> io::Result<Option<Bytes>> {
    while let Some(frame) = body.frame().await {
        // Fields behind the body are nothing that anybody asked for.
        if let Ok(bytes) = frame.map_err(io::Error::other)?.into_data()
            && !bytes.is_empty()
        {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Zstd,
    Gzip,
    Deflate,
    Brotli,
}

impl Packing {
    /// The packing of this name.
    fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"zstd" => Some(Self::Zstd),
            b"gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            b"br" => Some(Self::Brotli),
            _ => None,
        }
    }

    /// What unpacks a body that begins with these bytes.
    fn open(self, first: Bytes, body: Incoming) -> io::Result<Box<dyn Unpack>> {
        if self == Self::Brotli && first.first().is_some_and(|b| b & 0x7f == LARGE_WINDOW) {
            return Err(io::Error::other(TooLarge));
        }
        let source = StreamReader::new(Packed { first: Some(first), body });
        Ok(match self {
            Self::Zstd => {
                let mut zstd = ZstdDecoder::with_params(source, &[DParameter::window_log_max(WINDOW_LOG_MAX)]);
                zstd.multiple_members(true);
                Box::new(zstd)
            }
            Self::Gzip => {
                let mut gzip = GzipDecoder::new(source);
                gzip.multiple_members(true);
                Box::new(gzip)
            }
            Self::Deflate => Box::new(ZlibDecoder::new(source)),
            Self::Brotli => Box::new(BrotliDecoder::new(source)),
        })
    }
}

/// A body as it comes, to be read as bytes.
struct Packed {
    first: Option<Bytes>,
    body: Incoming,
}

impl Stream for Packed {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => pin!(next(&mut self.body)).poll(cx).map(Result::transpose),
        }
    }
}

/// Something that unpacks.
trait Unpack: AsyncRead + Send + Unpin {
    /// What it unpacks.
    fn packed(&mut self) -> &mut Packed;
}

impl Unpack for ZstdDecoder<StreamReader<Packed, Bytes>> {
    fn packed(&mut self) -> &mut Packed {
        self.get_mut().get_mut()
    }
}

impl Unpack for GzipDecoder<StreamReader<Packed, Bytes>> {
    fn packed(&mut self) -> &mut Packed {
        self.get_mut().get_mut()
    }
}

impl Unpack for ZlibDecoder<StreamReader<Packed, Bytes>> {
    fn packed(&mut self) -> &mut Packed {
        self.get_mut().get_mut()
    }
}

impl Unpack for BrotliDecoder<StreamReader<Packed, Bytes>> {
    fn packed(&mut self) -> &mut Packed {
        self.get_mut().get_mut()
    }
}

/// The body wants a window that is too large.
#[derive(Debug)]
pub(super) struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer wants more than {} MiB of memory to be unpacked", (1_u64 << WINDOW_LOG_MAX) >> 20)
    }
}

impl Error for TooLarge {}

/// The error with a name of its own where it is one of the window. The decoder of zstd tells its errors as texts alone.
fn named(error: io::Error) -> io::Error {
    let code = 0_usize.wrapping_sub(ZSTD_error_frameParameter_windowTooLarge as usize);
    let is_window = error.get_ref().is_some_and(|e| e.to_string() == zstd_safe::get_error_name(code));
    if is_window { io::Error::other(TooLarge) } else { error }
}
