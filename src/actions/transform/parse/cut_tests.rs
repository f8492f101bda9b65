//! Any bytes against the `csv` crate, and the bounds.

use super::*;
use crate::actions::transform::parse::record;
use crate::actions::transform::parse::span::Kind;
use proptest::prelude::*;

const MARKS: Marks = Marks { delimiter: b',', quote: Some(b'"') };

fn text_of(bytes: &[u8], span: Span, marks: Marks) -> Option<Vec<u8>> {
    match span.kind() {
        Kind::Bare | Kind::Quoted => Some(span.of(bytes).to_vec()),
        Kind::Escaped => {
            let mut text = Vec::new();
            record::unquote(span.of(bytes), marks.quote.unwrap_or(0), &mut text);
            Some(text)
        }
        Kind::Absent | Kind::Dead => None,
    }
}

/// Every row and every odd record of a text, cut in pieces.
fn all(bytes: &[u8], shape: Shape, cells: usize) -> (Vec<Vec<Option<Vec<u8>>>>, Rows) {
    let mut rows = Rows::default();
    let mut table = Vec::new();
    let is_plain = shape.marks.quote.is_none_or(|q| !bytes.contains(&q)) && !bytes.contains(&b'\r');
    let mut at = 0;
    while at < bytes.len() {
        let cut = if is_plain { cut::<true> } else { cut::<false> };
        let next = cut(bytes, at, shape, cells, &mut rows);
        assert!(next > at, "no step is made at {at}");
        at = next;
        for row in rows.spans.chunks(shape.fields) {
            table.push(row.iter().map(|s| text_of(bytes, *s, shape.marks)).collect());
        }
    }
    assert_eq!(table.len(), rows.starts.len());
    (table, rows)
}

/// What the `csv` crate reads, and where its records start.
fn by_csv_crate(bytes: &[u8], marks: Marks) -> Vec<Vec<Vec<u8>>> {
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).delimiter(marks.delimiter);
    match marks.quote {
        Some(quote) => reader.quote(quote),
        None => reader.quoting(false),
    };
    let records = reader.from_reader(bytes).into_byte_records();
    records.map(|r| r.unwrap().iter().map(<[u8]>::to_vec).collect()).collect()
}

fn ragged() -> impl Strategy<Value = Ragged> {
    prop::sample::select(vec![Ragged::Bad, Ragged::Pad, Ragged::Fit])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_bytes_are_cut_as_the_csv_crate_cuts_them(
        mut bytes in prop_oneof![
            prop::collection::vec(prop::sample::select(b"ab,;'\"\n\r\xff\0".to_vec()), 0..300),
            prop::collection::vec(prop::sample::select(b"abcdef,,\n\n".to_vec()), 0..300),
            prop::collection::vec(any::<u8>(), 0..100),
        ],
        delimiter in prop::sample::select(b",;".to_vec()),
        quote in prop::sample::select(vec![Some(b'"'), Some(b'\''), None]),
        fields in 1_usize..5, ragged in ragged(), cells in 1_usize..40
    ) {
        if bytes.starts_with(b"\xef\xbb\xbf") {
            bytes[0] = b'a'; // that crate takes a mark away, the source has done so before us
        }
        let marks = Marks { delimiter, quote };
        let (table, rows) = all(&bytes, Shape { marks, fields, ragged }, cells);
        let mut expected = by_csv_crate(&bytes, marks);
        let unclosed = rows.odd.last().filter(|o| matches!(o.why, Oddity::Unclosed(_)));
        if let Some(odd) = unclosed {
            let last = expected.pop().unwrap();
            prop_assert_eq!(odd.why, Oddity::Unclosed(last.len()));
        }
        let (mut whole, mut odd) = (Vec::new(), Vec::new());
        for record in expected {
            let count = record.len();
            let is_row = match ragged {
                Ragged::Bad => count == fields,
                Ragged::Pad => count <= fields,
                Ragged::Fit => true,
            };
            if is_row {
                let mut row: Vec<_> = record.into_iter().map(Some).collect();
                row.resize(fields, None);
                whole.push(row);
            } else {
                odd.push(Oddity::Count(count));
            }
        }
        prop_assert_eq!(table, whole);
        let apart: Vec<_> = rows.odd.iter().map(|o| o.why).filter(|why| matches!(why, Oddity::Count(_))).collect();
        prop_assert_eq!(apart, odd);
    }

    #[test]
    fn the_slow_reader_sees_the_same_records(
        bytes in prop::collection::vec(prop::sample::select(b"ab,,\"\"\n\r".to_vec()), 0..200)
    ) {
        let shape = Shape { marks: MARKS, fields: 2, ragged: Ragged::Fit };
        let (_, rows) = all(&bytes, shape, 8);
        let mut starts = Vec::new();
        let mut records = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if matches!(bytes[at], b'\n' | b'\r') {
                at += 1;
                continue;
            }
            starts.push(u32::try_from(at).unwrap());
            let mut fields = Vec::new();
            let ends = record::read(&bytes, at, MARKS, |f| {
                let mut text = f.to_vec();
                if f.starts_with(b"\"") {
                    record::unquote(f, b'"', &mut text);
                }
                fields.push(text);
            });
            prop_assert_eq!(ends.closed, ends.text < bytes.len() || rows.odd.is_empty());
            at = ends.line;
            records.push(fields);
        }
        prop_assert_eq!(records, by_csv_crate(&bytes, MARKS));
        let mut found = rows.starts.clone();
        found.extend(rows.odd.iter().map(|o| o.start));
        prop_assert_eq!(found, starts);
    }
}

#[test]
fn a_record_of_very_many_fields_is_not_stored() {
    let bytes = vec![b','; 1 << 20];
    let (_, rows) = all(&bytes, Shape { marks: MARKS, fields: 3, ragged: Ragged::Pad }, 64);
    assert_eq!(rows.odd, [Odd { start: 0, why: Oddity::Count((1 << 20) + 1) }]);
    assert!(rows.spans.capacity() < 1000, "{}", rows.spans.capacity());
}

#[test]
fn padding_stops_at_the_limit() {
    let bytes = b"a\n".repeat(10_000);
    let mut rows = Rows::default();
    let next = cut::<true>(&bytes, 0, Shape { marks: MARKS, fields: 1000, ragged: Ragged::Pad }, 4096, &mut rows);
    assert_eq!(next, BLOCK, "one block is looked at, whatever it becomes");
    assert_eq!(rows.spans.len(), 32 * 1000);
}

#[test]
fn the_field_of_an_open_quote_is_told() {
    let (table, rows) = all(b"1,2,3\n4,5,\"6\n7,8,9\n", Shape { marks: MARKS, fields: 3, ragged: Ragged::Bad }, 64);
    assert_eq!(table.len(), 1);
    assert_eq!(rows.odd, [Odd { start: 6, why: Oddity::Unclosed(3) }]);
}
