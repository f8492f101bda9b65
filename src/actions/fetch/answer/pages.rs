//! Where the next page is.
//!
//! It guarantees that paging ends: a page that was fetched before, or that is the same as the one before, is a failure.
//! A next page comes out of an answer, so it may only be fetched by HTTP, and not in the clear where the page before was
//! not; whoever fetches it sends no credentials to another origin.

use super::{Page, link};
use crate::actions::fetch::spec::Paging;
use crate::model::{Failure, text};
use std::collections::HashSet;
use url::Url;
use url::form_urlencoded::{byte_serialize, parse};

/// Pages that are remembered to find one that comes again. Where they are more, the older ones are forgotten, and a loop
/// that is longer runs to the greatest number of pages.
const SEEN_MAX: usize = 65_536;
/// Longest URL of a page, in bytes. A longer one fails the answer.
const URL_MAX: usize = 16 * 1024;

/// The pages that were fetched, to find one that comes again.
#[derive(Debug, Default)]
pub struct Seen {
    urls: HashSet<[u8; 32]>,
    last: Option<[u8; 32]>,
}

impl Seen {
    /// Notes a page; false: it was there.
    fn note(&mut self, url: &Url) -> bool {
        if self.urls.len() >= SEEN_MAX {
            self.urls.clear();
        }
        self.urls.insert(*blake3::hash(url.as_str().as_bytes()).as_bytes())
    }
}

/// How far the pages are.
#[derive(Clone, Copy, Debug)]
pub struct Position<'a> {
    /// URL of the first page, as [`first`] made it.
    pub first: &'a Url,
    /// URL that the last page came from, behind its redirects: what relative ones are relative to.
    pub current: &'a Url,
    /// Its header `Link`; several ones joined by commas.
    pub link: Option<&'a str>,
    /// Pages done, the last one included.
    pub number: u32,
    /// Items of all of them.
    pub items: u64,
}

/// The URL of the first page: with its number or offset, and with the size of pages.
#[must_use]
pub fn first(paging: &Paging, url: &Url) -> Url {
    let mut first = url.clone();
    match paging {
        Paging::Link | Paging::Cursor { .. } => {}
        Paging::Number { param, start } => set(&mut first, param, &start.to_string()),
        Paging::Offset { param, limit } => {
            if get(url, param).is_none() {
                set(&mut first, param, "0");
            }
            if let Some((name, size)) = limit {
                set(&mut first, name, &size.to_string());
            }
        }
    }
    first
}

/// The URL of the page behind the one that was just examined; none: that was the last one.
pub fn next(paging: &Paging, at: &Position<'_>, page: &Page, seen: &mut Seen) -> Result<Option<Url>, Failure> {
    seen.note(at.first);
    seen.note(at.current);
    let next = match paging {
        Paging::Link => {
            let is_here = |anchor: &str| at.current.join(anchor).is_ok_and(|url| same_document(&url, at.current));
            let target = link::next(at.link.unwrap_or_default(), is_here).map_err(|link::Broken| {
                let message = format!("the header Link cannot be read: {}", shown(at.link.unwrap_or_default()));
                Failure::permanent("pages_link", message)
            })?;
            target.map(|target| follow(at.current, target)).transpose()?
        }
        Paging::Cursor { param, .. } => match (page.cursor.as_deref(), param) {
            (None, _) => None,
            (Some(target), None) => Some(follow(at.current, target)?),
            (Some(cursor), Some(param)) => Some(with(at.first, param, cursor)),
        },
        Paging::Number { param, start } => {
            more(page)?.then(|| with(at.first, param, &start.saturating_add(at.number.into()).to_string()))
        }
        Paging::Offset { param, .. } => {
            // The first page need not begin at 0.
            let begin = get(at.first, param).unwrap_or_default();
            let begin: u64 = begin.trim().parse().map_err(|_| {
                let message =
                    format!("the parameter \"{}\" of the URL is not a number: {}", shown(param), shown(&begin));
                Failure::permanent("pages_url", message)
            })?;
            more(page)?.then(|| with(at.first, param, &begin.saturating_add(at.items).to_string()))
        }
    };
    let Some(next) = next else { return Ok(None) };
    if next.as_str().len() > URL_MAX {
        let message = format!("the URL of the next page is longer than {URL_MAX} bytes");
        return Err(Failure::permanent("pages_url", message));
    }
    // What the page before was is compared before it is forgotten, so that the end of the pages is no loop.
    let is_same = page.digest.is_some() && seen.last == page.digest;
    seen.last = page.digest;
    if is_same || !seen.note(&next) {
        let what = if is_same { "the page is the same as the one before" } else { "the next page was fetched before" };
        return Err(Failure::permanent("pages_loop", format!("{what}: page {}", at.number)));
    }
    Ok(Some(next))
}

/// Whether there may be another page behind this one.
fn more(page: &Page) -> Result<bool, Failure> {
    match page.items {
        Some(items) => Ok(items > 0),
        None => Err(Failure::permanent("internal", "the items of a page were not counted")),
    }
}

/// The URL that an answer names.
fn follow(current: &Url, target: &str) -> Result<Url, Failure> {
    let mut url = current.join(target).map_err(|e| {
        Failure::permanent("pages_url", format!("the URL of the next page cannot be read: {e}: {}", shown(target)))
    })?;
    let is_allowed = match url.scheme() {
        "https" => true,
        "http" => current.scheme() == "http",
        _ => false,
    };
    if !is_allowed || !url.has_host() {
        let message = format!("the next page is not fetched by {}: {}", url.scheme(), shown(target));
        return Err(Failure::permanent("pages_elsewhere", message));
    }
    url.set_fragment(None);
    // Names and passwords come from the configuration alone. Neither can fail: there is a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(url)
}

fn same_document(a: &Url, b: &Url) -> bool {
    let (mut a, mut b) = (a.clone(), b.clone());
    a.set_fragment(None);
    b.set_fragment(None);
    a == b
}

/// The value of a parameter of the query.
fn get(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

fn with(url: &Url, name: &str, value: &str) -> Url {
    let mut url = url.clone();
    set(&mut url, name, value);
    url
}

/// Sets a parameter of the query, in its place or at the end. The others stay as they are spelled: a server may have
/// signed them.
fn set(url: &mut Url, name: &str, value: &str) {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}={}", encode(name), encode(value));
    let mut is_set = false;
    let mut parts: Vec<&str> = Vec::new();
    let query = url.query().unwrap_or_default().to_owned();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        if parse(part.as_bytes()).next().is_none_or(|(n, _)| n != name) {
            parts.push(part);
        } else if !is_set {
            is_set = true;
            parts.push(&pair);
        }
    }
    if !is_set {
        parts.push(&pair);
    }
    url.set_query(Some(&parts.join("&")));
}

fn shown(value: &str) -> String {
    text::cut(&text::escape(value), 200).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn by_link(current: &str, link: &str, seen: &mut Seen) -> Result<Option<String>, String> {
        let current = url(current);
        let at = Position { first: &current, current: &current, link: Some(link), number: 1, items: 0 };
        next(&Paging::Link, &at, &Page::default(), seen).map(|u| u.map(String::from)).map_err(|f| f.code)
    }

    #[test]
    fn a_link_is_relative_to_the_page_and_leads_nowhere_but_to_http() {
        let fresh = |current: &str, link: &str| by_link(current, link, &mut Seen::default());
        let some = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(fresh("https://a/x/y?p=1", "<?p=2>; rel=next"), some("https://a/x/y?p=2"));
        assert_eq!(fresh("https://a/x/y?p=1", "<z#f>; rel=next"), some("https://a/x/z"));
        assert_eq!(fresh("http://a/", "<//b/z>; rel=next"), some("http://b/z"));
        assert_eq!(fresh("http://a/", "<https://u:p@b/z>; rel=next"), some("https://b/z"));
        assert_eq!(fresh("http://a/?p=1", "<?p=2>; rel=next; anchor=\"?p=1\""), some("http://a/?p=2"));
        assert_eq!(fresh("http://a/?p=1", "<?p=2>; rel=next; anchor=\"?p=7\""), Ok(None));
        for elsewhere in ["<http://a/z>", "<file:///etc/passwd>", "<ftp://a/z>", "<data:,x>", "<javascript:1>"] {
            let link = format!("{elsewhere}; rel=next");
            assert_eq!(fresh("https://a/", &link), Err("pages_elsewhere".to_owned()), "{link}");
        }
        assert_eq!(fresh("https://a/", "<https://[::>; rel=next"), Err("pages_url".to_owned()));
        assert_eq!(fresh("https://a/", "<x; rel=next"), Err("pages_link".to_owned()));
        let long = format!("<?{}>; rel=next", "x".repeat(URL_MAX));
        assert_eq!(fresh("https://a/", &long), Err("pages_url".to_owned()));
    }

    #[test]
    fn a_page_that_comes_again_is_a_loop() {
        let mut seen = Seen::default();
        assert_eq!(by_link("http://a/1", "<1>; rel=next", &mut seen), Err("pages_loop".to_owned()));
        let mut seen = Seen::default();
        assert!(by_link("http://a/1", "<2>; rel=next", &mut seen).is_ok());
        assert!(by_link("http://a/2", "<3>; rel=next", &mut seen).is_ok());
        assert_eq!(by_link("http://a/3", "<1#x>; rel=next", &mut seen), Err("pages_loop".to_owned()));
        for n in 0..2 * SEEN_MAX {
            seen.note(&url(&format!("http://a/{n}?")));
        }
        assert!(seen.urls.len() <= SEEN_MAX);
    }

    #[test]
    fn a_cursor_is_a_parameter_or_a_url() {
        let base = url("https://a/list?key=a%2Fb+c&cursor=&x");
        let page = |cursor: &str| Page { cursor: Some(cursor.to_owned()), ..Page::default() };
        let at = Position { first: &base, current: &base, link: None, number: 1, items: 0 };
        let ask = |param: Option<&str>, page: &Page| {
            let paging = Paging::Cursor { field: "/next".into(), param: param.map(str::to_owned) };
            next(&paging, &at, page, &mut Seen::default()).map(|u| u.map(String::from)).map_err(|f| f.code)
        };
        // The spelling of what is there stays.
        let expected = "https://a/list?key=a%2Fb+c&cursor=%26x%3D1+%EA%B0%80&x";
        assert_eq!(ask(Some("cursor"), &page("&x=1 가")), Ok(Some(expected.to_owned())));
        assert_eq!(ask(None, &page("/list?after=7")), Ok(Some("https://a/list?after=7".to_owned())));
        assert_eq!(ask(None, &page("http://a/list?after=7")), Err("pages_elsewhere".to_owned()));
        assert_eq!(ask(None, &Page::default()), Ok(None));
    }

    #[test]
    fn numbers_and_offsets_rise_until_a_page_is_empty() {
        let items = |n: u64, digest: u8| Page { items: Some(n), digest: Some([digest; 32]), ..Page::default() };
        let number = Paging::Number { param: "page".into(), start: 0 };
        let start = first(&number, &url("http://a/?page=9&q=1"));
        assert_eq!(start.as_str(), "http://a/?page=0&q=1");
        let mut seen = Seen::default();
        let mut turn = |paging: &Paging, first: &Url, current: &str, n: u32, sum: u64, page: &Page| {
            let current = url(current);
            let at = Position { first, current: &current, link: None, number: n, items: sum };
            next(paging, &at, page, &mut seen).map(|u| u.map(String::from)).map_err(|f| f.code)
        };
        let some = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(turn(&number, &start, start.as_str(), 1, 5, &items(5, 1)), some("http://a/?page=1&q=1"));
        assert_eq!(turn(&number, &start, "http://a/?page=1&q=1", 2, 10, &items(5, 2)), some("http://a/?page=2&q=1"));
        // A server that does not know the parameter sends the same page for ever.
        assert_eq!(turn(&number, &start, "http://a/?page=2&q=1", 3, 15, &items(5, 2)), Err("pages_loop".to_owned()));
        assert_eq!(turn(&number, &start, "http://a/?page=3&q=1", 4, 15, &items(0, 2)), Ok(None));

        let offset = Paging::Offset { param: "from".into(), limit: Some(("size".into(), 50)) };
        assert_eq!(first(&offset, &url("http://a/")).as_str(), "http://a/?from=0&size=50");
        let start = first(&offset, &url("http://a/?from=100"));
        assert_eq!(turn(&offset, &start, start.as_str(), 1, 50, &items(50, 3)), some("http://a/?from=150&size=50"));
        let wrong = url("http://a/?from=x");
        assert_eq!(turn(&offset, &wrong, wrong.as_str(), 1, 50, &items(50, 4)), Err("pages_url".to_owned()));
        assert_eq!(turn(&offset, &start, start.as_str(), 1, 50, &Page::default()), Err("internal".to_owned()));
    }
}
