//! The header `Link` (RFC 8288): which of its links leads to the next page.

/// One link of a header: its target as it stands there, and its parameters in lower case.
struct Link<'a> {
    target: &'a str,
    params: Vec<(String, String)>,
}

/// Why the next page is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The target of the first link with the relation `next`; several headers are joined by commas. A link with an `anchor`
/// is about another document, unless `is_here` says that it is this one. A header that breaks off while it still speaks of
/// a next page is an error: to end there would lose pages without a word.
pub(super) fn next(header: &str, is_here: impl Fn(&str) -> bool) -> Result<Option<&str>, Broken> {
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(None);
        }
        let Some((link, behind)) = one(rest) else {
            return if rest.to_ascii_lowercase().contains("next") { Err(Broken) } else { Ok(None) };
        };
        // Of several parameters with one name the first counts.
        let param = |name: &str| link.params.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let is_next = param("rel").is_some_and(|rel| rel.split_whitespace().any(|r| r.eq_ignore_ascii_case("next")));
        if is_next && param("anchor").is_none_or(&is_here) {
            return Ok(Some(link.target));
        }
        rest = behind;
    }
}

/// The first link, and what is behind it.
fn one(text: &str) -> Option<(Link<'_>, &str)> {
    let (target, mut rest) = text.strip_prefix('<')?.split_once('>')?;
    let mut params = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let Some(after) = rest.strip_prefix(';') else { break };
        rest = after.trim_start_matches([' ', '\t']);
        let end = rest.find(['=', ';', ',', ' ', '\t']).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start_matches([' ', '\t']);
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            (value, rest) = one_value(after.trim_start_matches([' ', '\t']))?;
        }
        if !name.is_empty() {
            params.push((name, value));
        }
    }
    // Behind a link comes a comma or the end.
    (rest.is_empty() || rest.starts_with(',')).then(|| (Link { target: target.trim(), params }, rest))
}

/// The value of a parameter, quoted or not, and what is behind it.
fn one_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_with_the_relation_next_is_found_however_it_is_written() {
        let table: &[(&str, Result<Option<&str>, Broken>)] = &[
            ("", Ok(None)),
            (" , ,", Ok(None)),
            ("<https://a/?page=2>; rel=\"next\"", Ok(Some("https://a/?page=2"))),
            ("<https://a/?page=2>;rel=next", Ok(Some("https://a/?page=2"))),
            ("<a?p=2> ; REL = \"Next\"", Ok(Some("a?p=2"))),
            ("\t< a?p=2 >\t;\trel=\tnext\t", Ok(Some("a?p=2"))),
            ("<1>; rel=\"prev\", <3>; rel=\"next\", <9>; rel=\"last\"", Ok(Some("3"))),
            ("<1>; rel=\"prev\",<3>;rel=\"last next\"", Ok(Some("3"))),
            // Commas and semicolons within a target or a text part nothing.
            ("<a?x=1,2;rel=next>; rel=prev, <b?ids=3,4>; rel=next", Ok(Some("b?ids=3,4"))),
            ("<a>; title=\"x, <evil>; rel=next\"; rel=prev, <b>; rel=next", Ok(Some("b"))),
            ("<a>; title=\"a \\\" b\"; rel=\"next\"", Ok(Some("a"))),
            // Only a whole word is the relation.
            ("<a>; rel=\"nextish\", <b>; rel=\"http://x/next\"", Ok(None)),
            ("<a>; title=next, <b>; rel=last", Ok(None)),
            ("<a>; rel=prev; rel=next", Ok(None)),
            ("<a>; rel", Ok(None)),
            ("<a>; rel=next; crossorigin", Ok(Some("a"))),
            ("<a>;; rel=next;", Ok(Some("a"))),
            ("<>; rel=next", Ok(Some(""))),
            // About another document.
            ("<a>; rel=next; anchor=\"/other\"", Ok(None)),
            ("<a>; rel=next; anchor=\"#here\"", Ok(Some("a"))),
            // Broken.
            ("<a; rel=next", Err(Broken)),
            ("<a>; rel=\"next", Err(Broken)),
            ("<a>; rel=next <b>", Err(Broken)),
            ("a; rel=next", Err(Broken)),
            ("<a>; rel=\"prev\\", Ok(None)),
            ("<a>; rel=next, garbage", Ok(Some("a"))),
            ("<a>; rel=prev, garbage", Ok(None)),
        ];
        for (header, expected) in table {
            assert_eq!(&next(header, |anchor| anchor == "#here"), expected, "{header}");
        }
    }
}
