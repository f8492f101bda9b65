//! The body of an answer: handed over piece by piece, and it knows which piece is the last one before anybody has it.

use super::UnderWay;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// Pause before a connection breaks: what was handed over goes out in it.
const BREAK_AFTER: Duration = Duration::from_millis(20);

/// A body on its way.
pub struct Sent {
    /// Bytes that are repeated until all are sent.
    pattern: Bytes,
    /// Bytes that are left, and that the header promised.
    left: u64,
    promised: u64,
    /// Most bytes of one piece.
    piece: usize,
    /// Pause before each piece.
    pause: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// The connection breaks when so many bytes are left.
    breaks_at: Option<u64>,
    under_way: Option<UnderWay>,
}

impl Sent {
    /// A body in one piece.
    pub fn whole(body: impl Into<Bytes>, under_way: UnderWay) -> Self {
        let body = body.into();
        let size = body.len() as u64;
        Self::repeated(body, size, under_way)
    }

    /// A body of so many bytes: this pattern, over and over.
    pub fn repeated(pattern: Bytes, size: u64, under_way: UnderWay) -> Self {
        let piece = pattern.len().max(1);
        let mut this = Self {
            pattern,
            left: size,
            promised: size,
            piece,
            pause: Duration::ZERO,
            sleep: None,
            breaks_at: None,
            under_way: Some(under_way),
        };
        if size == 0 {
            this.under_way = None;
        }
        this
    }

    /// The same, a byte at a time, with this pause before each.
    pub fn dripping(mut self, pause: Duration) -> Self {
        (self.piece, self.pause) = (1, pause);
        self
    }

    /// The same, but the connection breaks in the middle.
    pub fn cut(mut self) -> Self {
        self.breaks_at = Some(self.promised / 2);
        self
    }

    /// The size that the header shall promise.
    pub fn promised(&self) -> u64 {
        self.promised
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let breaks = this.breaks_at.is_some_and(|at| this.left <= at);
        let pause = if breaks { BREAK_AFTER } else { this.pause };
        if !pause.is_zero() {
            let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.sleep = None;
        }
        if breaks {
            return Poll::Ready(Some(Err(io::Error::other("broken on purpose"))));
        }
        let at = usize::try_from((this.promised - this.left) % this.pattern.len() as u64).unwrap_or(0);
        let room = this.left - this.breaks_at.unwrap_or(0);
        let size = this.piece.min(this.pattern.len() - at).min(usize::try_from(room).unwrap_or(usize::MAX));
        this.left -= size as u64;
        if let Some(under_way) = &this.under_way {
            under_way.sent(size);
        }
        if this.left == 0 {
            // Before the other side can have the last byte, and with it the right to send the next request.
            this.under_way = None;
        }
        Poll::Ready(Some(Ok(Frame::data(this.pattern.slice(at..at + size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
