//! What lands in the demo's inbox: which file comes when, and what is in it. Good and bad files are both made of the
//! file's number, so that every demo shows the same.

use encoding_rs::EUC_KR;
use std::fmt::Write;

/// Rows of an ordinary list of orders.
const ROWS: u32 = 40;
/// Rows of a large one: what makes the throughput move.
const MANY_ROWS: u32 = 20_000;
/// The line on which a bad list of orders is bad.
pub(super) const BAD_LINE: u32 = 14;
/// What is sold.
const PRODUCTS: [&str; 6] = ["사과 상자", "포도 상자", "감귤 상자", "배 상자", "수박", "복숭아 상자"];

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A list of orders in UTF-8.
    Orders,
    /// A long one.
    ManyOrders,
    /// One with a Korean name, in the encoding of older Korean systems (CP949).
    KoreanOrders,
    /// The same with a field missing on one line.
    MissingField,
    /// Amounts with a decimal comma and without quotes: the rows have one field too many.
    DecimalComma,
    /// A quote that is never closed.
    OpenQuote,
    /// Nothing in it.
    Empty,
    /// A text.
    Note,
    /// Work that takes seconds.
    Video,
    /// Work that fails twice and then succeeds.
    Parcel,
    /// An invoice that can be booked.
    Invoice,
    /// One that cannot.
    BadInvoice,
    /// A file that no task takes.
    Unknown,
}

impl Kind {
    /// Whether an operator has to look at it in the end.
    pub(super) const fn is_bad(self) -> bool {
        matches!(
            self,
            Self::MissingField | Self::DecimalComma | Self::OpenQuote | Self::Empty | Self::BadInvoice | Self::Unknown
        )
    }

    /// The task that takes it.
    pub(super) const fn task(self) -> &'static str {
        match self {
            Self::Note | Self::Unknown => "documents",
            Self::Video => "videos",
            Self::Parcel => "deliveries",
            Self::Invoice | Self::BadInvoice => "invoices",
            _ => "orders",
        }
    }

    /// The name of the file with this number.
    pub(super) fn name(self, n: u32) -> String {
        match self {
            Self::Orders | Self::ManyOrders | Self::DecimalComma | Self::OpenQuote | Self::Empty => {
                format!("orders-{n:04}.csv")
            }
            Self::KoreanOrders | Self::MissingField => format!("주문-{n:04}.csv"),
            Self::Note if n.is_multiple_of(3) => format!("회의록-{n:04}.md"),
            Self::Note => format!("note-{n:04}.txt"),
            Self::Video => format!("teaser-{n:04}.mov"),
            Self::Parcel => format!("parcel-{n:04}.pkg"),
            Self::Invoice | Self::BadInvoice => format!("march-{n:04}.invoice"),
            Self::Unknown => format!("holiday-{n:04}.dat"),
        }
    }

    /// What is in it.
    pub(super) fn content(self, n: u32) -> Vec<u8> {
        match self {
            Self::Orders => orders(n, ROWS, |_, row| row).into_bytes(),
            Self::ManyOrders => orders(n, MANY_ROWS, |_, row| row).into_bytes(),
            Self::KoreanOrders => cp949(&orders(n, ROWS, |_, row| row)),
            Self::MissingField => cp949(&orders(n, ROWS, |line, row| match row.rsplit_once(',') {
                Some((front, _)) if line == BAD_LINE => front.to_owned(),
                _ => row,
            })),
            Self::DecimalComma => {
                orders(n, ROWS, |line, row| if line >= BAD_LINE && line % 7 == 0 { row + ",50" } else { row })
                    .into_bytes()
            }
            Self::OpenQuote => {
                orders(n, ROWS, |line, row| if line == BAD_LINE { row.replacen(',', ",\"", 1) } else { row })
                    .into_bytes()
            }
            Self::Empty => Vec::new(),
            Self::Note => note(n).into_bytes(),
            Self::Video | Self::Parcel | Self::Unknown => vec![0xA5; 2048],
            Self::Invoice => format!("invoice: {n}\ntax_id: 120-81-{n:05}\ntotal: {}\n", n * 1000).into_bytes(),
            Self::BadInvoice => format!("invoice: {n}\ntotal: {}\n", n * 1000).into_bytes(),
        }
    }
}

/// A list of orders; `change` may spoil a row, given its line.
fn orders(n: u32, rows: u32, change: impl Fn(u32, String) -> String) -> String {
    let mut out = "id,product,amount\n".to_owned();
    for i in 0..rows {
        let product = PRODUCTS[(n + i) as usize % PRODUCTS.len()];
        let row = format!("{},{product},{}", n * 100 + i, 1 + (n * 31 + i * 17) % 97);
        out.push_str(&change(i + 2, row));
        out.push('\n');
    }
    out
}

fn cp949(text: &str) -> Vec<u8> {
    // Every character of the lists has a place in it.
    EUC_KR.encode(text).0.into_owned()
}

fn note(n: u32) -> String {
    let mut out = format!("Note {n}\n\n");
    for i in 0..6 + n % 20 {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{i}. 창고 {} 점검 완료, nothing to report.", 1 + (n + i) % 9);
    }
    out
}

/// What comes first: within seconds there is something to read, to retry and to skip.
const OPENING: [Kind; 16] = [
    Kind::Orders,
    Kind::Parcel,
    Kind::MissingField,
    Kind::Video,
    Kind::Note,
    Kind::BadInvoice,
    Kind::KoreanOrders,
    Kind::DecimalComma,
    Kind::Note,
    Kind::Parcel,
    Kind::Empty,
    Kind::ManyOrders,
    Kind::Video,
    Kind::Invoice,
    Kind::Unknown,
    Kind::Note,
];

/// Then this, over and over. Three in a round are slow or stumble; one is bad.
const ROUND: [Kind; 40] = {
    use Kind::{Invoice as I, KoreanOrders as K, ManyOrders as M, Note as N, Orders as O, Parcel as P, Video as V};
    [
        O,
        N,
        K,
        N,
        O,
        I,
        N,
        M,
        N,
        V,
        O,
        N,
        K,
        N,
        O,
        N,
        P,
        M,
        N,
        O, //
        I,
        N,
        K,
        O,
        N,
        N,
        M,
        O,
        V,
        N,
        K,
        O,
        N,
        I,
        N,
        M,
        O,
        N,
        N,
        Kind::Empty,
    ]
};

/// Bad files, in turn.
const BAD: [Kind; 4] = [Kind::OpenQuote, Kind::BadInvoice, Kind::MissingField, Kind::DecimalComma];

/// How many files come at once at the start.
pub(super) const OPENING_LEN: u32 = OPENING.len() as u32;

/// The kind of the file with this number, counted from 0.
pub(super) fn kind(n: u32) -> Kind {
    if let Some(kind) = OPENING.get(n as usize) {
        return *kind;
    }
    let (round, slot) = ((n - OPENING_LEN) as usize / ROUND.len(), (n - OPENING_LEN) as usize % ROUND.len());
    match ROUND[slot] {
        // The last place of a round is for a bad file; there is nothing to learn from the same one every time.
        Kind::Empty => BAD[round % BAD.len()],
        kind => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_opening_has_everything() {
        let kinds: Vec<_> = (0..OPENING_LEN).map(kind).collect();
        for wanted in [Kind::MissingField, Kind::DecimalComma, Kind::Empty, Kind::Video, Kind::Parcel, Kind::BadInvoice]
        {
            assert!(kinds.contains(&wanted), "{wanted:?}");
        }
    }

    #[test]
    fn no_name_comes_twice_and_most_files_are_good() {
        let mut names = HashSet::new();
        let mut bad = 0;
        for n in 0..1000 {
            assert!(names.insert(kind(n).name(n)), "{n}");
            bad += u32::from(n >= OPENING_LEN && kind(n).is_bad());
        }
        assert_eq!(bad, 24);
    }

    #[test]
    fn a_bad_list_is_bad_where_it_says() {
        let text = Kind::OpenQuote.content(1);
        let text = String::from_utf8(text).unwrap();
        assert!(text.lines().nth(BAD_LINE as usize - 1).unwrap().contains('"'));
        assert_eq!(text.matches('"').count(), 1);
        let bytes = Kind::MissingField.content(1);
        assert!(std::str::from_utf8(&bytes).is_err(), "not UTF-8");
        let (text, _, bad) = EUC_KR.decode(&bytes);
        assert!(!bad);
        let short: Vec<_> = (1..).zip(text.lines()).filter(|(_, l)| l.matches(',').count() != 2).collect();
        assert_eq!(short.len(), 1);
        assert_eq!(short[0].0, BAD_LINE);
    }
}
