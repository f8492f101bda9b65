//! Where a redirect leads, and what of the request goes along.

use super::place;
use url::Url;

/// Whether this status is a redirect that can be followed.
pub(super) fn is_followed(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The method after a redirect, as browsers do: 303 makes a GET of everything but HEAD, 301 and 302 of a POST.
pub(super) fn method_after(status: u16, method: &str) -> &str {
    match (status, method) {
        (303, "HEAD") => "HEAD",
        (303, _) | (301 | 302, "POST") => "GET",
        _ => method,
    }
}

/// Where the redirect leads. `Err`: why it is not followed.
pub(super) fn target(from: &Url, location: &[u8]) -> Result<Url, &'static str> {
    let location = std::str::from_utf8(location).map_err(|_| "the redirect leads to what is no URL")?;
    if location.len() > place::URL_MAX {
        return Err("the redirect leads to a URL that is too long");
    }
    let mut to = from.join(location).map_err(|_| "the redirect leads to what is no URL")?;
    to.set_fragment(None);
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err("a redirect from https to http is not followed");
    }
    place::check(&to).map_err(|_| "the redirect leads to a URL that is not fetched")?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_changes_as_browsers_do() {
        for (status, method, expected) in [
            (301, "POST", "GET"),
            (302, "POST", "GET"),
            (303, "POST", "GET"),
            (303, "PUT", "GET"),
            (303, "HEAD", "HEAD"),
            (301, "PUT", "PUT"),
            (302, "DELETE", "DELETE"),
            (301, "GET", "GET"),
            (307, "POST", "POST"),
            (308, "POST", "POST"),
        ] {
            assert_eq!(method_after(status, method), expected, "{status} {method}");
        }
    }

    #[test]
    fn a_redirect_never_leaves_the_web_or_its_encryption() {
        let from = Url::parse("https://example.com/a/b?q=1").unwrap();
        assert_eq!(target(&from, b"c?x#y").unwrap().as_str(), "https://example.com/a/c?x");
        assert_eq!(target(&from, b"//other.example/z").unwrap().as_str(), "https://other.example/z");
        for bad in [
            &b"http://example.com/"[..],
            b"ftp://example.com/",
            b"file:///etc/passwd",
            b"javascript:alert(1)",
            b"https://user:pass@example.com/",
            b"https://exa mple.com/",
            b"\xff\xfe",
        ] {
            assert!(target(&from, bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(target(&from, format!("/{}", "a".repeat(9000)).as_bytes()).is_err());
        let plain = Url::parse("http://example.com/").unwrap();
        assert!(target(&plain, b"https://example.com/").is_ok());
    }
}
