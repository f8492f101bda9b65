//! Files that are described by what every file has: pictures, documents and everything unknown.

use super::sidecar::{Sidecar, Sink};
use super::source::Source;
use super::{Extract, Unsupported, grouped};
use crate::model::{Failure, FileType, Input, Report};
use std::path::PathBuf;

/// Hashes a file and writes its sidecar, or refuses it, as configured.
pub(super) fn extract(
    options: &Extract,
    input: &Input,
    mut source: Source<'_>,
    file_type: FileType,
    target: PathBuf,
) -> Result<Report, Failure> {
    if options.unsupported == Unsupported::Fail {
        let message = format!("no extraction for files of type {}", file_type.name());
        return Err(source.blame(Failure::permanent("unsupported_type", message)));
    }
    source.drain(&mut Vec::new())?;
    let (size, digest) = (source.offset(), source.digest());
    Sink::new(source.desk, target, options.on_exists, false)
        .finish(|_| Sidecar::new(input, file_type.name(), size, digest))?;
    let note = format!("{}, {} bytes", file_type.name(), grouped(size));
    Ok(Report { note: Some(note), ..Report::default() })
}

#[cfg(test)]
mod tests {
    use super::super::source::CHUNK;
    use super::super::tests::{desk, run};
    use super::super::{Extract, Unsupported};
    use serde_json::json;

    #[test]
    fn any_file_is_described() {
        let desk = desk();
        let raw = b"\x89PNG\r\n\x1a\n".repeat(CHUNK / 3);
        let report = run(&desk, Extract::default(), "사진.PNG", &raw).unwrap();
        assert_eq!(
            desk.json("사진.PNG.json"),
            json!({
                "file": "사진.PNG", "type": "image", "size": raw.len(), "modified": "2026-01-01T00:00:00.000Z",
                "blake3": blake3::hash(&raw).to_hex().to_string(), "encoding": null
            })
        );
        assert_eq!((report.rows, report.note.as_deref()), (None, Some("image, 699,048 bytes")));
    }

    #[test]
    fn an_unknown_file_is_known_by_its_content() {
        for (name, raw, want) in [
            ("a", &b"%PDF-1.7"[..], "pdf"),
            ("b.bin", b"\0\x01", "other"),
            ("c.dat", b"plain words", "text"),
            ("d.dat", b"", "other"),
            ("e.pdf", b"", "pdf"),
        ] {
            let desk = desk();
            run(&desk, Extract::default(), name, raw).unwrap();
            assert_eq!(desk.json(&format!("{name}.json"))["type"], want, "{name}");
        }
    }

    #[test]
    fn the_strict_rule_refuses() {
        let desk = desk();
        let failure =
            run(&desk, Extract { unsupported: Unsupported::Fail, ..Extract::default() }, "a.png", b"\x89PNG\r\n\x1a\n")
                .unwrap_err();
        assert_eq!((failure.class.name(), failure.code.as_str()), ("permanent", "unsupported_type"));
        assert!(desk.written().is_empty());
        run(&desk, Extract { unsupported: Unsupported::Fail, ..Extract::default() }, "a.txt", b"text is supported")
            .unwrap();
    }
}
