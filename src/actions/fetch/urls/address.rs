//! One URL: what is one, which host it belongs to, and what a file with its answer is called.

use crate::model::action::network::HostName;
use crate::model::template::split_name;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use url::Url;

/// Longest URL, in bytes; a longer one is refused.
pub const URL_MAX: usize = 8 * 1024;
/// Longest `{name}` of a URL, in bytes; a longer one is cut in front of its extension.
pub const NAME_MAX: usize = 200;
/// Longest extension that is kept when a name is cut, in bytes.
const EXTENSION_MAX: usize = 16;
/// Why a URL that says who asks is refused.
pub(super) const USER: &str = "a URL holds no user name and no password";

/// A URL that can be asked, without its fragment. `Err`: why it is none; never holds a part of the text, which may be
/// secret.
pub fn parse(text: &str) -> Result<Url, String> {
    let too_long = || format!("longer than {URL_MAX} bytes");
    if text.len() > URL_MAX {
        return Err(too_long());
    }
    if text.chars().any(char::is_control) {
        return Err("a URL holds no control characters".to_owned());
    }
    let mut url = Url::parse(text).map_err(|e| format!("not a URL: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("a URL starts with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(USER.to_owned());
    }
    url.set_fragment(None);
    // What is not ASCII is written out in three times as many bytes.
    if url.as_str().len() > URL_MAX { Err(too_long()) } else { Ok(url) }
}

/// The host of a URL, as limits and lanes name it.
#[must_use]
pub fn host_name(url: &Url) -> HostName {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}").into(),
        None => host.into(),
    }
}

/// Scheme, host and port: who gets what is sent.
#[must_use]
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The value of `{name}`: the last part of the path, or the host where there is none. It is one name of a file: never
/// `.` or `..`, without `/` and control characters, at most [`NAME_MAX`] bytes.
#[must_use]
pub fn name(url: &Url) -> OsString {
    let last = url.path_segments().and_then(|mut parts| parts.rfind(|part| !part.is_empty()));
    let raw = decode(last.unwrap_or_else(|| url.host_str().unwrap_or_default()));
    let mut name = match std::str::from_utf8(&raw) {
        Ok(text) => {
            text.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect::<String>().into_bytes()
        }
        Err(_) => raw.iter().map(|&b| if b == b'/' || b < 0x20 || b == 0x7f { b'_' } else { b }).collect(),
    };
    if matches!(&name[..], b"." | b"..") {
        name.fill(b'_');
    }
    OsString::from_vec(shortened(name))
}

fn shortened(name: Vec<u8>) -> Vec<u8> {
    if name.len() <= NAME_MAX {
        return name;
    }
    let extension = split_name(OsStr::from_bytes(&name)).1.as_bytes();
    let tail = if extension.is_empty() || extension.len() > EXTENSION_MAX { 0 } else { extension.len() + 1 };
    let mut end = NAME_MAX - tail;
    let is_inner = |b: u8| b & 0xc0 == 0x80;
    while end > 0 && NAME_MAX - tail - end < 4 && is_inner(name[end]) {
        end -= 1;
    }
    let mut cut = name[..end].to_vec();
    cut.extend_from_slice(&name[name.len() - tail..]);
    cut
}

/// A text as one piece of a URL: everything but letters, digits and `-._~` as `%XX`.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for &b in text.as_bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

fn decode(text: &str) -> Vec<u8> {
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [a, b, after @ ..]) if digit(a).is_some() && digit(b).is_some() => {
                out.push(digit(a).unwrap_or_default() * 16 + digit(b).unwrap_or_default());
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(url: &str) -> String {
        name(&parse(url).unwrap()).into_string().unwrap()
    }

    #[test]
    fn a_host_is_named_with_an_unusual_port() {
        let host = |url: &str| host_name(&parse(url).unwrap()).to_string();
        assert_eq!(host("https://API.Example.com:443/x"), "api.example.com");
        assert_eq!(host("http://127.0.0.1:8080"), "127.0.0.1:8080");
        assert_eq!(host("http://[::1]:80/"), "[::1]");
        assert_eq!(host("https://한국.example/"), "xn--3e0b707e.example");
    }

    #[test]
    fn what_cannot_be_asked_is_refused_without_being_repeated() {
        for bad in [
            "x/hunter2",
            "file:///hunter2",
            "http://u:hunter2@a/",
            "http://hunter2@a/",
            "http://a b/hunter2",
            "http://a/\thunter2",
            "http:///",
        ] {
            let reason = parse(bad).unwrap_err();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
        assert!(parse(&format!("http://a/{}", "x".repeat(URL_MAX))).is_err());
        assert!(parse(&format!("http://a/{}", "é".repeat(URL_MAX / 4))).is_err(), "it is longer as it is sent");
        assert_eq!(parse("http://a/x#part").unwrap().as_str(), "http://a/x");
    }

    #[test]
    fn a_name_is_one_name_of_a_file() {
        assert_eq!(named("https://a.b/x/report.csv?page=2"), "report.csv");
        assert_eq!(named("https://a.b/x/y/"), "y");
        assert_eq!(named("https://a.b/?q=/../x"), "a.b");
        assert_eq!(named("https://a.b/%EA%B0%80%20b"), "가 b");
        assert_eq!(named("https://a.b/..%2F..%2Fetc%2Fpasswd"), ".._.._etc_passwd");
        assert_eq!(named("https://a.b/x%00%1b%5B2J%C2%9B"), "x__[2J_");
        assert_eq!(named("https://a.b/%2e%2e/"), "a.b");
        assert_eq!(named("https://a.b/100%"), "100%");
        assert_eq!(name(&parse("https://a/%ff%2F").unwrap()).as_bytes(), b"\xff_");
    }

    #[test]
    fn a_long_name_keeps_its_extension_and_its_characters() {
        let cut = named(&format!("https://a/{}.json", "가".repeat(100)));
        assert!(cut.len() <= NAME_MAX && cut.ends_with("가.json") && cut.len() > NAME_MAX - 4, "{cut}");
        assert_eq!(named(&format!("https://a/{}", "x".repeat(300))).len(), NAME_MAX);
        let odd = name(&parse(&format!("https://a/{}", "%bf".repeat(300))).unwrap());
        assert!(odd.len() > NAME_MAX - 5);
    }
}
