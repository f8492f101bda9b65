//! A client of ten lines, as curl would be: raw HTTP over the Unix socket, with nothing of the program's own.

use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// Status line and headers.
    pub head: String,
    /// The body, as it came.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Sends one request and reads the whole answer; none if nobody listens.
pub fn request(socket: &Path, method: &str, path: &str, body: Option<&str>) -> Option<Answer> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let body = body.map_or_else(String::new, |b| {
        format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{b}", b.len())
    });
    let end = if body.is_empty() { "\r\n" } else { "" };
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{body}{end}").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer { code, head: head.to_owned(), body: body.to_owned() })
}
