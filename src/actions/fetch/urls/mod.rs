//! The URLs of a run: listed, made from a template, or read from files.
//!
//! It guarantees that they come one at a time and in the same order at every call, as long as the files stay the same;
//! that a bad URL in the configuration is found before anything is sent; and that a task whose requests carry a secret
//! plans only URLs of hosts that its configuration names.
//! A line of a file that is no URL ends the plan there: what came before it stays planned.

mod address;
mod json;
mod list;
mod part;
mod template;
#[cfg(test)]
mod tests;

pub use address::{host_name, name, origin, parse};
pub use part::Mistake;
pub use template::{Expansion, UrlTemplate};

use super::spec::{Source, Spec};
use crate::model::action::Items;
use crate::model::action::network::{HostName, Item};
use crate::model::{Failure, Millis, PlanOrder};
use chrono::{DateTime, NaiveDate, Utc};
use list::{Entry, Files};
use std::path::PathBuf;
use url::Url;

/// Most items of one run; a plan with more fails: at once where that can be counted, else when it comes to the next one.
pub const ITEMS_MAX: u64 = 10_000_000;

/// The items of a run in their order. Files are the outputs of the upstream run where the configuration names none.
pub fn items(spec: &Spec, order: &PlanOrder) -> Result<Items, Failure> {
    items_of(spec, order, &order.upstream)
}

/// The same with the files to take where the configuration names none.
pub fn items_of(spec: &Spec, order: &PlanOrder, files: &[PathBuf]) -> Result<Items, Failure> {
    let day = day(order.planned_at, order.timezone);
    match &spec.source {
        Source::Urls(urls) => {
            let templates: Vec<_> = urls.iter().map(|url| read(url, false)).collect::<Result<_, _>>()?;
            let expansions: Vec<_> = templates.iter().map(|template| template.on(day)).collect();
            if expansions.iter().map(Expansion::total).fold(0, u64::saturating_add) > ITEMS_MAX {
                return Err(too_many());
            }
            let mut lanes = Lanes::default();
            let made = expansions.into_iter().flatten().map(move |url| {
                parse(&url).map(|url| lanes.item(&url)).map_err(|reason| Failure::permanent("urls_bad", reason))
            });
            Ok(Box::new(Bounded { items: made, left: ITEMS_MAX, has_failed: false }))
        }
        Source::Files { paths, format, column, template, hosts } => {
            let paths = if paths.is_empty() { files.to_vec() } else { paths.clone() };
            for path in &paths {
                list::regular(path)?;
            }
            let made = FromFiles {
                entries: Files::new(paths, *format, column.clone()),
                template: template.as_deref().map(|t| read(t, true)).transpose()?.map(|t| t.on(day)),
                hosts: hosts.clone(),
                current: None,
                lanes: Lanes::default(),
            };
            Ok(Box::new(Bounded { items: made, left: ITEMS_MAX, has_failed: false }))
        }
    }
}

/// The item of an operator's URL. `Err`: why it is none.
pub fn item(spec: &Spec, input: &str) -> Result<Item, String> {
    let url = parse(input.trim())?;
    if spec.request.has_secret() && !is_named(&spec.source, &url) {
        return Err(format!("the task sends secrets, and its configuration does not name {}", origin(&url)));
    }
    Ok(Lanes::default().item(&url))
}

/// Whether the configuration names scheme, host and port of a URL.
fn is_named(source: &Source, url: &Url) -> bool {
    let wanted = origin(url);
    let is_in = |template: &str, with_value| {
        let forms = UrlTemplate::parse(template, with_value).map(|t| t.hosts());
        forms.is_ok_and(|mut forms| forms.any(|form| parse(&form).is_ok_and(|form| origin(&form) == wanted)))
    };
    match source {
        Source::Urls(urls) => urls.iter().any(|url| is_in(url, false)),
        Source::Files { template, hosts, .. } => {
            hosts.contains(&wanted) || template.as_ref().is_some_and(|template| is_in(template, true))
        }
    }
}

fn read(url: &str, with_value: bool) -> Result<UrlTemplate, Failure> {
    UrlTemplate::parse(url, with_value).map_err(|mistake| Failure::permanent("urls_bad", mistake.message))
}

fn too_many() -> Failure {
    Failure::permanent("urls_too_many", format!("a run has more than {ITEMS_MAX} URLs"))
}

fn day(at: Millis, zone: chrono_tz::Tz) -> NaiveDate {
    DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default().with_timezone(&zone).date_naive()
}

/// Makes items, with one name for all that follow each other on one host.
#[derive(Default)]
struct Lanes {
    last: Option<HostName>,
}

impl Lanes {
    fn item(&mut self, url: &Url) -> Item {
        let name = host_name(url);
        let lane = self.last.take().filter(|last| *last == name).unwrap_or(name);
        self.last = Some(lane.clone());
        Item { input: url.as_str().to_owned(), lane }
    }
}

/// The items of files: each entry is a URL, or the value of a template.
struct FromFiles {
    entries: Files,
    template: Option<Expansion>,
    hosts: Vec<String>,
    /// URLs of the last entry that are left, and where it stands.
    current: Option<(Expansion, PathBuf, u64)>,
    lanes: Lanes,
}

impl FromFiles {
    fn item(&mut self, url: &str, path: &std::path::Path, line: u64) -> Result<Item, Failure> {
        let bad = |reason: &str| list::bad_line(path, line, reason);
        let url = parse(url).map_err(|reason| bad(&reason))?;
        if self.template.is_none() && !self.hosts.is_empty() && !self.hosts.contains(&origin(&url)) {
            return Err(bad("a URL of a host that `hosts` does not name"));
        }
        Ok(self.lanes.item(&url))
    }

    fn start(&mut self, path: PathBuf, entry: &Entry) -> Option<Result<Item, Failure>> {
        let Some(template) = &self.template else {
            return Some(self.item(&entry.text, &path, entry.line));
        };
        // As a part of the path these two would mean another folder, however they are written.
        if matches!(entry.text.as_str(), "." | "..") {
            return Some(Err(list::bad_line(&path, entry.line, "a value cannot be . or ..")));
        }
        self.current = Some((template.with(&entry.text), path, entry.line));
        None
    }
}

impl Iterator for FromFiles {
    type Item = Result<Item, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((mut urls, path, line)) = self.current.take()
                && let Some(url) = urls.next()
            {
                let item = self.item(&url, &path, line);
                self.current = Some((urls, path, line));
                return Some(item);
            }
            match self.entries.next()? {
                Err(failure) => return Some(Err(failure)),
                Ok((path, entry)) => {
                    if let Some(item) = self.start(path, &entry) {
                        return Some(item);
                    }
                }
            }
        }
    }
}

/// Ends behind the first failure, and fails behind the last item that is allowed.
struct Bounded<I> {
    items: I,
    left: u64,
    has_failed: bool,
}

impl<I: Iterator<Item = Result<Item, Failure>>> Iterator for Bounded<I> {
    type Item = Result<Item, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let item = match self.items.next()? {
            Ok(_) if self.left == 0 => Err(too_many()),
            other => other,
        };
        self.left = self.left.saturating_sub(1);
        self.has_failed = item.is_err();
        Some(item)
    }
}
