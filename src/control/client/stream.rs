//! Event streams as a client reads them: `text/event-stream` cut into events, events read as ticks or log pages.

use super::exchange::Streaming;
use crate::model::view::{LogsPage, Tick};
use serde::de::DeserializeOwned;

/// Most bytes of one event; a longer one ends the stream.
const EVENT_MAX: usize = 8 * 1024 * 1024;

/// The tick stream.
pub struct Events(Stream);

impl Events {
    pub(super) fn new(streaming: Streaming) -> Self {
        Self(Stream::new(streaming))
    }

    /// The next tick; none when the supervisor has stopped or cannot be heard any more.
    pub async fn next(&mut self) -> Option<Tick> {
        self.0.next().await
    }
}

/// The log as it grows.
pub struct LogEvents(Stream);

impl LogEvents {
    pub(super) fn new(streaming: Streaming) -> Self {
        Self(Stream::new(streaming))
    }

    /// The next lines; none when the supervisor has stopped or cannot be heard any more. Go on later with
    /// `from` set to the last page's `next`.
    pub async fn next(&mut self) -> Option<LogsPage> {
        self.0.next().await
    }
}

struct Stream {
    streaming: Streaming,
    parser: Parser,
}

impl Stream {
    fn new(streaming: Streaming) -> Self {
        Self { streaming, parser: Parser::default() }
    }

    /// The data of the next event that reads as a `T`; others are passed over, as additions of a later version.
    async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            while let Some(data) = self.parser.next() {
                if let Ok(value) = serde_json::from_slice(&data) {
                    return Some(value);
                }
            }
            let part = self.streaming.part().await?;
            self.parser.push(&part);
            if self.parser.pending() > EVENT_MAX {
                return None;
            }
        }
    }
}

/// Cuts a byte stream into the data of its events.
#[derive(Debug, Default)]
struct Parser {
    /// Bytes that do not make a whole line yet.
    line: Vec<u8>,
    /// Data lines of the event that has not ended yet.
    data: Vec<u8>,
    /// Data of whole events, oldest first.
    ready: std::collections::VecDeque<Vec<u8>>,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.last() == Some(&b'\n') {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if !self.data.is_empty() {
                self.ready.push_back(std::mem::take(&mut self.data));
            }
        } else if let Some(value) = line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }

    fn pending(&self) -> usize {
        self.line.len() + self.data.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_the_bytes_are_cut() {
        let text = b": heartbeat\n\nid: 4\nevent: tick\ndata: {\"a\":1,\ndata: \"b\":2}\n\ndata:x\r\n\r\n\n";
        for cut in 1..text.len() {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for part in text.chunks(cut) {
                parser.push(part);
                while let Some(event) = parser.next() {
                    events.push(String::from_utf8(event).unwrap());
                }
            }
            assert_eq!(events, ["{\"a\":1,\n\"b\":2}", "x"], "in parts of {cut} bytes");
            assert_eq!(parser.pending(), 0);
        }
    }
}
