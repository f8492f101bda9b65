//! URLs as the calls take them: which ones are taken, and how they are shown.

use crate::actions::fetch::urls::host_name;
use crate::model::Failure;
use crate::model::text::{cut, escape};
use url::Url;

/// Longest URL in bytes; a longer one is refused (`http_url`), as most servers do.
pub const URL_MAX: usize = 8 * 1024;
/// Most characters of a URL in a message; the rest is cut.
const SHOWN_MAX: usize = 300;

/// The URL in a text: `http` or `https`, without user and password. Its fragment is dropped: no server sees it.
pub fn parse(text: &str) -> Result<Url, Failure> {
    let refuse = |why: String| Failure::permanent("http_url", format!("{why}: {}", safe_part(text)));
    if text.len() > URL_MAX {
        return Err(refuse(format!("a URL has at most {URL_MAX} bytes, this one has {}", text.len())));
    }
    if text.contains(|c: char| c.is_control()) {
        return Err(refuse("a URL holds no control characters".into()));
    }
    let mut url = Url::parse(text).map_err(|e| refuse(format!("not a URL, {e}")))?;
    check(&url).map_err(|why| refuse(why.into()))?;
    url.set_fragment(None);
    Ok(url)
}

/// Why a URL is not taken, if it is not.
pub(super) fn check(url: &Url) -> Result<(), &'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err("only http and https are fetched");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL holds no user and password, use `auth`");
    }
    if url.host().is_none() || url.port() == Some(0) {
        return Err("a URL names a host and a port that can be dialled");
    }
    if url.as_str().len() > URL_MAX {
        return Err("the URL is too long");
    }
    Ok(())
}

/// A text that is no good URL, without what may be secret in it: user, password and query.
fn safe_part(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (scheme, rest) = text[..end].split_once("//").map_or(("", &text[..end]), |(s, r)| (&text[..s.len() + 2], r));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    cut(&escape(&format!("{scheme}{rest}")), SHOWN_MAX).into_owned()
}

/// A URL without user, password, query and fragment, not cut.
pub(super) fn bare(url: &Url) -> String {
    let mut text = format!("{}://", url.scheme());
    text.push_str(&host_name(url));
    text.push_str(url.path());
    text
}

/// A URL as it may be shown: without user, password, query and fragment, cut.
#[must_use]
pub fn shown(url: &Url) -> String {
    cut(&escape(&bare(url)), SHOWN_MAX).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_in_lower_case_without_its_usual_port() {
        let name = |text: &str| host_name(&parse(text).unwrap()).to_string();
        assert_eq!(name("https://API.Example.com:443/x?y"), "api.example.com");
        assert_eq!(name("http://api.example.com:443/x"), "api.example.com:443");
        assert_eq!(name("http://2130706433:8080/"), "127.0.0.1:8080");
        assert_eq!(name("http://[::1]:80/"), "[::1]");
    }

    #[test]
    fn what_is_no_good_url_is_refused_without_repeating_secrets() {
        for text in [
            "ftp://example.com/canary",
            "file:///etc/passwd?canary",
            "https://me:canary@example.com/",
            "https://canary@example.com/",
            "example.com/?key=canary",
            "http://exa mple.com/?canary",
            "http://canary@exa mple.com/",
            "http://example.com/a\nb?canary",
            "http:///?canary",
            "http://example.com:0/?canary",
            "http://example.com:99999/?canary",
            "javascript:alert(1)",
            "",
        ] {
            let failure = parse(text).unwrap_err();
            assert_eq!(failure.code, "http_url", "{text}");
            let hides = text.starts_with("ftp") || !failure.message.contains("canary");
            assert!(hides, "{}", failure.message);
            assert!(!failure.class.is_retried());
        }
        assert!(parse(&format!("http://example.com/{}", "a".repeat(URL_MAX))).is_err());
        assert!(parse("https://u:p@example.com/").unwrap_err().message.contains("`auth`"));
    }

    #[test]
    fn the_query_is_never_shown_and_long_paths_are_cut() {
        let url = parse("https://example.com:8443/a%20b?key=canary#canary").unwrap();
        assert_eq!(shown(&url), "https://example.com:8443/a%20b");
        let long = parse(&format!("https://example.com/{}", "a".repeat(4000))).unwrap();
        assert_eq!(shown(&long).chars().count(), SHOWN_MAX);
        assert_eq!(parse("https://example.com/#x").unwrap().as_str(), "https://example.com/");
    }
}
