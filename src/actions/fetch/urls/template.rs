//! URLs with parts in braces: `https://a/{001..100}`, `{a,b}`, `{date-7..date}`.
//!
//! It guarantees that every URL that a template stands for can be parsed, because all forms of its host are tried when it is
//! read; that no date and no value out of a file decides which host is called; and that nothing is listed in memory:
//! the URLs come one at a time, the last part running fastest.

use super::address;
use super::part::{Fixed, Mistake, Part};
use chrono::NaiveDate;
use std::ops::Range;
use std::sync::Arc;

/// Most forms of the host of one template; one with more is refused when it is read.
pub const HOSTS_MAX: u64 = 10_000;

/// A URL with parts in braces, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate {
    parts: Vec<Part>,
    /// How many of them make the scheme and the host.
    head: usize,
}

impl UrlTemplate {
    /// Reads a template. `with_value`: it holds `{value}`, which stands for what a file says, and must; else it must not.
    pub fn parse(source: &str, with_value: bool) -> Result<Self, Mistake> {
        let whole = 0..source.len();
        if let Some((at, c)) = source.char_indices().find(|(_, c)| c.is_control()) {
            return Err(Mistake::new(at..at + c.len_utf8(), "a URL holds no control characters"));
        }
        let scheme =
            ["https://", "http://"].iter().find(|s| source.get(..s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s)));
        let Some(scheme) = scheme else {
            return Err(
                Mistake::new(whole, "a URL starts with http:// or https://").hint("write \"https://HOST/PATH\"")
            );
        };
        let parts = parts(source)?;
        let has_value = parts.iter().any(|(part, _)| *part == Part::Value);
        if with_value && !has_value {
            return Err(
                Mistake::new(whole, "the URL does not say where a value of `from` goes").hint("put {value} there")
            );
        }
        let (parts, head) = split(parts, scheme.len());
        for (part, at) in parts.iter().take(head) {
            if matches!(part, Part::Value | Part::Days { .. }) {
                let complaint = Mistake::new(at.clone(), "the host of a URL is not left to a date or a value");
                return Err(complaint.hint("write the host, and put this part behind the first /"));
            }
        }
        if let Some((_, at)) = parts.iter().find(|(part, _)| *part == Part::Value).filter(|_| !with_value) {
            let complaint = Mistake::new(at.clone(), "{value} without a `from` that it could come from");
            return Err(complaint.hint("add from = \"list.csv\" and give the URL as `url`"));
        }
        let template = Self { parts: parts.into_iter().map(|(part, _)| part).collect(), head };
        template.check_hosts(whole)?;
        Ok(template)
    }

    /// Whatever stands behind the host can be parsed; what decides are the forms of the host.
    fn check_hosts(&self, whole: Range<usize>) -> Result<(), Mistake> {
        let forms = self.hosts();
        if forms.total() > HOSTS_MAX {
            return Err(Mistake::new(whole, format!("the host has more than {HOSTS_MAX} forms")));
        }
        for form in forms {
            if let Err(reason) = address::parse(&form) {
                let hint = if reason == address::USER { "use `auth`" } else { "write \"https://HOST/PATH\"" };
                return Err(Mistake::new(whole, reason).hint(hint));
            }
        }
        Ok(())
    }

    /// Scheme and host in all forms; at most [`HOSTS_MAX`].
    pub fn hosts(&self) -> Expansion {
        let parts = self.parts[..self.head].iter().map(|part| part.on(NaiveDate::default())).collect();
        Expansion::new(parts, "")
    }

    /// The URLs of a run that was planned on this day. For a template with `{value}`, use [`Expansion::with`].
    #[must_use]
    pub fn on(&self, day: NaiveDate) -> Expansion {
        Expansion::new(self.parts.iter().map(|part| part.on(day)).collect(), "")
    }

    /// How many URLs it stands for, where that does not depend on the day.
    #[must_use]
    pub fn fixed_total(&self) -> Option<u64> {
        let counts: Option<Vec<u64>> = self.parts.iter().map(Part::fixed_count).collect();
        Some(counts?.into_iter().fold(1, u64::saturating_mul))
    }
}

/// The parts of a template with their places.
fn parts(source: &str) -> Result<Vec<(Part, Range<usize>)>, Mistake> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut at = 0;
    while let Some(found) = source[at..].find(['{', '}']) {
        let here = at + found;
        text.push_str(&source[at..here]);
        let brace = &source[here..=here];
        if source[here + 1..].starts_with(brace) {
            text.push_str(brace);
            at = here + 2;
            continue;
        }
        let end = source[here..].find('}').filter(|_| brace == "{");
        let Some(end) = end.map(|end| here + end) else {
            let mistake = Mistake::new(here..here + 1, "unbalanced brace in a URL");
            return Err(mistake.hint("write {{ and }} for braces that stand for themselves"));
        };
        if !text.is_empty() {
            parts.push((Part::Text(std::mem::take(&mut text)), at..here));
        }
        let part = Part::parse(&source[here + 1..end]).map_err(|mistake| mistake.at(here..end + 1))?;
        parts.push((part, here..end + 1));
        at = end + 1;
    }
    text.push_str(&source[at..]);
    if !text.is_empty() {
        parts.push((Part::Text(text), at..source.len()));
    }
    Ok(parts)
}

/// Cuts the text that the host ends in, and answers how many parts are in front of the cut.
fn split(mut parts: Vec<(Part, Range<usize>)>, scheme: usize) -> (Vec<(Part, Range<usize>)>, usize) {
    for i in 0..parts.len() {
        let (Part::Text(text), at) = &parts[i] else { continue };
        let skip = if i == 0 { scheme.min(text.len()) } else { 0 };
        let Some(end) = text[skip..].find(['/', '\\', '?', '#']).map(|end| skip + end) else { continue };
        let (head, rest) = (text[..end].to_owned(), text[end..].to_owned());
        let at = at.clone();
        parts[i] = (Part::Text(head), at.clone());
        parts.insert(i + 1, (Part::Text(rest), at));
        return (parts, i + 1);
    }
    let all = parts.len();
    (parts, all)
}

/// The URLs that a template stands for, one at a time.
#[derive(Clone, Debug)]
pub struct Expansion {
    parts: Arc<[Fixed]>,
    value: String,
    total: u64,
    next: u64,
}

impl Expansion {
    fn new(parts: Arc<[Fixed]>, value: &str) -> Self {
        let total = parts.iter().map(Fixed::count).fold(1, u64::saturating_mul);
        Self { parts, value: value.to_owned(), total, next: 0 }
    }

    /// The same from its beginning, with this text for `{value}`; it is put in as one piece, whatever it holds.
    #[must_use]
    pub fn with(&self, value: &str) -> Self {
        Self::new(Arc::clone(&self.parts), &address::encode(value))
    }

    /// How many URLs there are in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}

impl Iterator for Expansion {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.next >= self.total {
            return None;
        }
        let mut turns = vec![0; self.parts.len()];
        let mut left = self.next;
        for (turn, part) in turns.iter_mut().zip(self.parts.iter()).rev() {
            *turn = left % part.count();
            left /= part.count();
        }
        self.next += 1;
        let mut url = String::with_capacity(128);
        for (turn, part) in turns.into_iter().zip(self.parts.iter()) {
            part.write(turn, &self.value, &mut url);
        }
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(source: &str) -> Vec<String> {
        let day = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        UrlTemplate::parse(source, false).unwrap().on(day).collect()
    }

    fn mistake(source: &str) -> (String, String) {
        let mistake = UrlTemplate::parse(source, source.contains("{value}")).unwrap_err();
        (source[mistake.at.clone()].to_owned(), mistake.message)
    }

    #[test]
    fn several_parts_make_the_product_and_the_last_runs_fastest() {
        assert_eq!(
            urls("http://a/{1..2}/{x,,y}"),
            ["http://a/1/x", "http://a/1/", "http://a/1/y", "http://a/2/x", "http://a/2/", "http://a/2/y"]
        );
        assert_eq!(urls("http://a/{{x}}"), ["http://a/{x}"]);
        assert_eq!(urls("http://a/{098..101}").join(" "), "http://a/098 http://a/099 http://a/100 http://a/101");
        assert_eq!(urls("http://a/?o={0..100..50}"), ["http://a/?o=0", "http://a/?o=50", "http://a/?o=100"]);
        assert_eq!(urls("http://a/{3..1}").len(), 3);
        assert_eq!(
            urls("http://{a,b}{1..2}.x:8080/p").join(" "),
            "http://a1.x:8080/p http://a2.x:8080/p http://b1.x:8080/p http://b2.x:8080/p"
        );
    }

    #[test]
    fn dates_are_those_of_the_planned_day() {
        assert_eq!(urls("http://a/{date}"), ["http://a/2026-03-02"]);
        assert_eq!(urls("http://a/{date:%Y/%m/%d}"), ["http://a/2026/03/02"]);
        assert_eq!(urls("http://a/{date-2}").as_slice(), ["http://a/2026-02-28"]);
        assert_eq!(urls("http://a/{date-2..date:%m%d}").join(" "), "http://a/0228 http://a/0301 http://a/0302");
        assert_eq!(urls("http://a/{2026-01-30..2026-02-02}").len(), 4);
        assert_eq!(urls("http://a/{2026-01-01..date..30:%j}").join(" "), "http://a/001 http://a/031 http://a/061");
    }

    #[test]
    fn a_long_range_costs_no_memory() {
        let all = UrlTemplate::parse("http://a/{1..9000000000000000}/{1..9000000000000000}", false).unwrap();
        assert_eq!(all.fixed_total(), Some(u64::MAX));
        assert_eq!(all.on(NaiveDate::default()).nth(1).as_deref(), Some("http://a/1/2"));
        assert_eq!(UrlTemplate::parse("http://a/{2026-01-01..date}", false).unwrap().fixed_total(), None);
        assert_eq!(UrlTemplate::parse("http://a/{date-6..date}", false).unwrap().fixed_total(), Some(7));
    }

    #[test]
    fn a_value_is_one_piece() {
        let template = UrlTemplate::parse("http://a/{value}?q={1..2}", true).unwrap();
        let urls: Vec<_> = template.on(NaiveDate::default()).with("x/../y?&%20 é").collect();
        assert_eq!(urls[0], "http://a/x%2F..%2Fy%3F%26%2520%20%C3%A9?q=1");
        assert_eq!(urls.len(), 2);
    }

    #[test]
    fn mistakes_are_pointed_at() {
        let told = |source: &str, at: &str, message: &str| assert_eq!(mistake(source), (at.into(), message.into()));
        told("http://a/{nam}", "{nam}", "unknown placeholder {nam}");
        told("http://a/{1..x}", "{1..x}", "not a range of numbers or dates: {1..x}");
        told("http://a/{1..9..0}", "{1..9..0}", "a step is at least 1: {1..9..0}");
        told("http://a/{2026-02-30..date}", "{2026-02-30..date}", "no such date: 2026-02-30");
        told("http://a/{date:%Q}", "{date:%Q}", "no format of a date: %Q");
        told("http://a/{date:%H}", "{date:%H}", "no format of a date: %H");
        told("http://a/{date-99999}", "{date-99999}", "more than 36500 days from the planned day: date-99999");
        told("http://a/{x", "{", "unbalanced brace in a URL");
        told("http://a/x}", "}", "unbalanced brace in a URL");
        told("http://a.{date}.x/", "{date}", "the host of a URL is not left to a date or a value");
        told("http://{value}/", "{value}", "the host of a URL is not left to a date or a value");
        told("http://a{value}", "{value}", "the host of a URL is not left to a date or a value");
        told("ftp://a/", "ftp://a/", "a URL starts with http:// or https://");
        told("http://u:p@a/", "http://u:p@a/", address::USER);
        told("http://a:{80..70000}/", "http://a:{80..70000}/", "the host has more than 10000 forms");
        told("http://a:{65535..65536}/", "http://a:{65535..65536}/", "not a URL: invalid port number");
        assert_eq!(
            UrlTemplate::parse("http://a/{value}", false).unwrap_err().message,
            "{value} without a `from` that it could come from"
        );
        assert_eq!(
            UrlTemplate::parse("http://a/", true).unwrap_err().message,
            "the URL does not say where a value of `from` goes"
        );
    }
}
