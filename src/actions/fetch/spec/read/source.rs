//! The keys that say where URLs come from: `urls`, `url`, `from`.

use super::{check_url, key_span, mistyped};
use crate::actions::fetch::spec::{ListFormat, Source};
use crate::actions::fetch::urls::{ITEMS_MAX, origin, parse};
use crate::actions::keys::optional;
use crate::model::Block;
use crate::model::block::{Complaint, Spanned, Value, absolute, shown};
use std::path::{Path, PathBuf};

/// The word for the job's own file, or the outputs of the upstream run.
const INPUTS: &str = "inputs";

pub(super) fn read(block: &mut Block<'_>) -> Option<Source> {
    let urls = optional(block, "urls", |b, key| b.strings(key));
    let url = optional(block, "url", |b, key| b.string(key));
    let has_from = block.has("from");
    let from = optional(block, "from", read_from);
    let given = [block.has("urls"), block.has("url"), has_from];
    match given {
        [false, false, false] => {
            let complaint = Complaint::new(block.span(), format!("{} has no URL", block.name()));
            block.problem(complaint.hint(r#"add urls = ["https://HOST/PATH"] or from = "list.csv""#));
            return None;
        }
        [true, true, _] | [true, _, true] => {
            let other = if has_from { "from" } else { "url" };
            let complaint = Complaint::new(key_span(block, other), format!("`{other}` and `urls` exclude each other"));
            block.problem(complaint.hint("leave one of both out"));
            return None;
        }
        _ => {}
    }
    if has_from {
        let template = match url? {
            Some(url) => {
                check_url(block, &url, true)?;
                Some(url)
            }
            None => None,
        };
        let (paths, format, column, hosts) = from??;
        if template.is_some() && !hosts.is_empty() {
            let complaint =
                Complaint::new(key_span(block, "url"), "`hosts` and a `url` that names the host exclude each other");
            block.problem(complaint.hint("leave `hosts` out"));
            return None;
        }
        return Some(Source::Files { paths, format, column, template: template.map(|t| t.value), hosts });
    }
    let is_list = given[0];
    let urls: Vec<_> = if is_list { urls?? } else { vec![url??] };
    if urls.is_empty() {
        let complaint = Complaint::new(key_span(block, "urls"), "`urls` is empty");
        block.problem(complaint.hint(r#"write urls = ["https://HOST/PATH"]"#));
        return None;
    }
    checked(block, urls)
}

fn checked(block: &mut Block<'_>, urls: Vec<Spanned<String>>) -> Option<Source> {
    let mut total: u64 = 0;
    let mut is_good = true;
    for url in &urls {
        match check_url(block, url, false) {
            Some(template) => total = total.saturating_add(template.fixed_total().unwrap_or(1)),
            None => is_good = false,
        }
    }
    if total > ITEMS_MAX {
        let key = if block.has("urls") { "urls" } else { "url" };
        block.problem(Complaint::new(key_span(block, key), format!("more than {ITEMS_MAX} URLs in one run")));
        is_good = false;
    }
    is_good.then(|| Source::Urls(urls.into_iter().map(|url| url.value).collect()))
}

/// Paths, format, column and hosts of the files.
type Files = (Vec<PathBuf>, Option<ListFormat>, Option<String>, Vec<String>);

fn read_from(block: &mut Block<'_>, key: &str) -> Option<Files> {
    let node = block.node(key)?;
    match &node.value {
        Value::String(text) => {
            let text = Spanned { value: text.clone(), span: node.span.clone() };
            Some((paths(block, vec![text])?, None, None, Vec::new()))
        }
        Value::Table(_) => read_files(&mut block.below(key, node)),
        other => mistyped(block, key, "a file or a table", other, &node.span),
    }
}

fn read_files(table: &mut Block<'_>) -> Option<Files> {
    let has_files = table.require("files");
    let files = optional(table, "files", |b, key| {
        let node = b.node(key)?;
        let list = match &node.value {
            Value::String(text) => vec![Spanned { value: text.clone(), span: node.span.clone() }],
            _ => b.strings(key)?,
        };
        if list.is_empty() {
            b.problem(Complaint::new(node.span.clone(), "`files` is empty").hint(r#"write files = ["list.csv"]"#));
            return None;
        }
        paths(b, list)
    });
    let formats = [("text", ListFormat::Text), ("csv", ListFormat::Csv), ("json", ListFormat::Json)];
    let format = optional(table, "format", |b, key| b.choice(key, &formats));
    let column = optional(table, "column", |b, key| b.string(key).map(|s| s.value));
    let hosts = optional(table, "hosts", read_hosts);
    let (format, column) = (format?, column?);
    if format == Some(ListFormat::Text) && column.is_some() {
        table.problem(Complaint::new(key_span(table, "column"), "a text has no columns").hint("leave `column` out"));
        return None;
    }
    Some((files?.filter(|_| has_files)?, format, column, hosts?.unwrap_or_default()))
}

/// Absolute paths; none for the word `inputs`.
fn paths(block: &Block<'_>, list: Vec<Spanned<String>>) -> Option<Vec<PathBuf>> {
    if let [only] = &list[..]
        && only.value == INPUTS
    {
        return Some(Vec::new());
    }
    let mut is_good = true;
    let mut paths = Vec::with_capacity(list.len());
    for text in list {
        let reason = match text.value.as_str() {
            INPUTS => Some("`inputs` stands for files by itself, without others".to_owned()),
            path if path.is_empty() || path.contains('\0') => Some(format!("not a path: {}", shown(path))),
            path if path.contains("://") => Some(format!("a list is a file, not a URL: {}", shown(path))),
            _ => None,
        };
        match reason {
            Some(reason) => {
                block.problem(Complaint::new(text.span, reason).hint(r#"write from = "list.csv" or from = "inputs""#));
                is_good = false;
            }
            None => paths.push(absolute(block.base(), Path::new(&text.value))),
        }
    }
    is_good.then_some(paths)
}

/// Hosts that URLs out of files may name, as scheme, host and port; `https` where no scheme is written.
fn read_hosts(block: &mut Block<'_>, key: &str) -> Option<Vec<String>> {
    let list = block.strings(key)?;
    let mut hosts = Vec::with_capacity(list.len());
    for text in &list {
        let full = if text.value.contains("://") { text.value.clone() } else { format!("https://{}", text.value) };
        match parse(&full) {
            Ok(url) if matches!(url.path(), "/") && url.query().is_none() && !text.value.is_empty() => {
                hosts.push(origin(&url));
            }
            _ => {
                let message = format!("not a host: {}", shown(&text.value));
                block.problem(
                    Complaint::new(text.span.clone(), message)
                        .hint(r#"write "api.example.com" or "http://127.0.0.1:8080""#),
                );
            }
        }
    }
    (hosts.len() == list.len()).then_some(hosts)
}
