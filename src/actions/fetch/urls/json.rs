//! URLs in JSON: an array, or a value a line. Values are texts, or objects that hold the text under a key.

use super::list::{Entries, Entry, Lines, RECORD_MAX, bad_line, utf8};
use crate::model::{Failure, text};
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Bytes, Read, Seek};
use std::path::Path;
use std::sync::Arc;

/// The entries of a JSON file that is open behind its byte order mark.
pub(super) fn entries(mut file: File, path: Arc<Path>, column: Option<String>) -> Result<Entries, Failure> {
    let failed = |e: std::io::Error| Failure::io("urls_unreadable", "read", &path, &e);
    let start = file.stream_position().map_err(failed)?;
    let first = BufReader::new(&file).bytes().find(|b| b.as_ref().map_or(true, |b| !b.is_ascii_whitespace()));
    let is_array = first.transpose().map_err(failed)? == Some(b'[');
    file.seek(std::io::SeekFrom::Start(start)).map_err(failed)?;
    let values: Entries = if is_array {
        Box::new(Array::new(file, Arc::clone(&path)))
    } else {
        let is_blank = |e: &Entry| e.text.trim().is_empty();
        Box::new(Lines::new(file, Arc::clone(&path), RECORD_MAX).filter(move |l| !l.as_ref().is_ok_and(is_blank)))
    };
    let mut has_failed = false;
    Ok(Box::new(values.map_while(move |value| {
        if has_failed {
            return None;
        }
        let entry = value.and_then(|value| pick(&value, column.as_deref(), &path));
        has_failed = entry.is_err();
        Some(entry)
    })))
}

/// The text that a value holds.
fn pick(value: &Entry, column: Option<&str>, path: &Path) -> Result<Entry, Failure> {
    let bad = |reason: &str| bad_line(path, value.line, reason);
    let mut reader = serde_json::Deserializer::from_str(&value.text);
    let found = Pick { column }.deserialize(&mut reader).and_then(|found| reader.end().map(|()| found));
    // What it says about the place counts from the beginning of this value.
    let found = found.map_err(|e| match e.classify() {
        serde_json::error::Category::Data => bad("neither a text nor an object"),
        _ => bad("not JSON"),
    })?;
    match found {
        Some(Value::String(text)) if !text.is_empty() => Ok(Entry { text, line: value.line }),
        Some(Value::Number(number)) => Ok(Entry { text: number.to_string(), line: value.line }),
        Some(Value::String(_)) => Err(bad("an empty text is no URL")),
        Some(_) => Err(bad("what should be a URL is no text")),
        None => match column {
            Some(key) => Err(bad(&format!("no such key: {}", text::cut(&text::escape(key), 60)))),
            None => Err(bad("the object is empty")),
        },
    }
}

/// Takes the value of one key out of an object, the first one's where none is named, without keeping the others.
struct Pick<'a> {
    column: Option<&'a str>,
}

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or an object")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if found.is_none() && self.column.is_none_or(|column| column == key) {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Cuts an array into the texts of its elements, so that only one of them is in memory.
struct Array {
    bytes: Bytes<BufReader<File>>,
    path: Arc<Path>,
    line: u64,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// In front of the bracket.
    Start,
    /// Behind it: an element or the end.
    First,
    /// Behind a comma.
    Next,
    /// All is read, or it failed.
    End,
}

impl Array {
    fn new(file: File, path: Arc<Path>) -> Self {
        Self { bytes: BufReader::with_capacity(64 * 1024, file).bytes(), path, line: 1, at: At::Start }
    }

    fn byte(&mut self) -> Result<Option<u8>, Failure> {
        self.bytes.next().transpose().map_err(|e| Failure::io("urls_unreadable", "read", &self.path, &e))
    }

    /// The next byte that is no white space.
    fn solid(&mut self) -> Result<Option<u8>, Failure> {
        loop {
            match self.byte()? {
                Some(b'\n') => self.line += 1,
                Some(b' ' | b'\t' | b'\r') => {}
                other => return Ok(other),
            }
        }
    }

    fn read(&mut self) -> Result<Option<Entry>, Failure> {
        let cut_short = |array: &Self| bad_line(&array.path, array.line, "the array does not end");
        if self.at == At::Start {
            self.solid()?; // the bracket
            self.at = At::First;
        }
        let first = self.solid()?.ok_or_else(|| cut_short(self))?;
        if first == b']' && self.at == At::First {
            return self.end();
        }
        let line = self.line;
        let (mut raw, mut next) = (Vec::new(), first);
        let (mut depth, mut in_text, mut is_escaped) = (0_u32, false, false);
        loop {
            match next {
                _ if is_escaped => is_escaped = false,
                b'\\' if in_text => is_escaped = true,
                b'"' => in_text = !in_text,
                _ if in_text => {}
                b'[' | b'{' => depth += 1,
                b',' if depth == 0 => {
                    self.at = At::Next;
                    break;
                }
                b']' if depth == 0 => {
                    self.at = At::End;
                    break;
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.line += u64::from(next == b'\n');
            raw.push(next);
            if raw.len() > RECORD_MAX {
                return Err(bad_line(&self.path, line, &format!("a value is longer than {RECORD_MAX} bytes")));
            }
            next = self.byte()?.ok_or_else(|| cut_short(self))?;
        }
        if self.at == At::End {
            self.end()?;
        }
        utf8(&raw, &self.path, line).map(|text| Some(Entry { text, line }))
    }

    /// Nothing but white space follows.
    fn end(&mut self) -> Result<Option<Entry>, Failure> {
        self.at = At::End;
        match self.solid()? {
            None => Ok(None),
            Some(_) => Err(bad_line(&self.path, self.line, "something follows the end of the array")),
        }
    }
}

impl Iterator for Array {
    type Item = Result<Entry, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == At::End {
            return None;
        }
        let entry = self.read();
        if entry.is_err() {
            self.at = At::End;
        }
        entry.transpose()
    }
}

#[cfg(test)]
mod tests {
    use crate::actions::fetch::urls::list::open;
    use crate::model::Failure;

    fn read(raw: &str, column: Option<&str>) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        std::fs::write(&path, raw).unwrap();
        let plain = |failure: Failure| failure.message.replace(dir.path().to_str().unwrap(), "");
        match open(&path, None, column) {
            Err(failure) => vec![plain(failure)],
            Ok(entries) => {
                entries.map(|e| e.map_or_else(plain, |e| format!("{}:{}", e.line, e.text))).take(9).collect()
            }
        }
    }

    #[test]
    fn an_array_or_a_value_a_line() {
        assert_eq!(
            read("\u{feff} \n[ \"a\\\",]\" ,\n{\"url\":\"b\",\"x\":[1,{\"y\":\"]\"}]},\n 7]\n", None),
            ["2:a\",]", "3:b", "4:7"]
        );
        assert_eq!(read("\"a\"\n\n{\"id\":1,\"url\":\"b\"}\n", Some("url")), ["1:a", "3:b"]);
        assert_eq!(read("{\"z\":\"first\",\"a\":\"second\"}", None), ["1:first"], "in the order of the file");
        assert_eq!(read(" [ ] ", None), [""; 0]);
        assert_eq!(read("", None), [""; 0]);
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        assert_eq!(read("[\"a\",\n{\"x\":1}]", Some("url")), ["1:a", "no such key: url: /a.json:2"]);
        assert_eq!(read("[\"a\",\n]", None), ["1:a", "not JSON: /a.json:2"]);
        assert_eq!(read("[\"a\"", None), ["the array does not end: /a.json:1"]);
        assert_eq!(read("[\"a\"] x", None), ["something follows the end of the array: /a.json:1"]);
        assert_eq!(read("\"a\"\ntrue\n\"b\"", None), ["1:a", "neither a text nor an object: /a.json:2"]);
        assert_eq!(read("\"a\" \"b\"", None), ["not JSON: /a.json:1"]);
        assert_eq!(read("{\"u\":[1]}", None), ["what should be a URL is no text: /a.json:1"]);
        assert_eq!(read("[\"\"]", None), ["an empty text is no URL: /a.json:1"]);
        assert_eq!(read("[{}]", None), ["the object is empty: /a.json:1"]);
        let long = format!("[\"{}\"]", "x".repeat(super::RECORD_MAX));
        assert_eq!(read(&long, None), ["a value is longer than 1048576 bytes: /a.json:1"]);
    }
}
