//! Answers that were fetched before: when they do, and what is asked of the other side to be sure.

use super::http::{Answer, Outgoing, shown};
use super::outgoing::Parts;
use super::spec::{Cache, Spec};
use crate::model::Millis;
use crate::model::action::network::{AnswerFacts, AnswerKey, CachedAnswer};
use std::time::Duration;
use url::Url;

/// The name of an answer: what is asked for, and who asks.
pub(super) fn key(spec: &Spec, parts: &Parts, url: &Url) -> AnswerKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(spec.request.method.as_bytes());
    hasher.update(b" ");
    hasher.update(parts.bare(url).as_str().as_bytes());
    hasher.update(parts.identity().as_bytes());
    AnswerKey(*hasher.finalize().as_bytes())
}

/// How old an answer is. One from the future, by a clock that was set back, is of no age at all.
fn age(facts: &AnswerFacts, now: Millis) -> Duration {
    now.since(Millis(facts.at))
}

/// Whether it is taken without asking.
pub(super) fn is_fresh(cache: Cache, kept: &CachedAnswer, now: Millis) -> bool {
    !cache.ttl.is_zero() && age(&kept.facts, now) < cache.ttl
}

/// Whether it stands in for one that cannot be had.
pub(super) fn stands_in(cache: Cache, kept: &CachedAnswer, now: Millis) -> bool {
    cache.stale_if_error.is_some_and(|max| age(&kept.facts, now) < max)
}

/// The fields that ask whether it is still right.
pub(super) fn validators(kept: Option<&CachedAnswer>) -> Vec<(String, String)> {
    let Some(CachedAnswer { facts, .. }) = kept else { return Vec::new() };
    let field = |name: &str, value: &Option<String>| value.as_ref().map(|v| (name.to_owned(), v.clone()));
    field("If-None-Match", &facts.etag).into_iter().chain(field("If-Modified-Since", &facts.last_modified)).collect()
}

/// What is remembered of an answer; none: it must not be kept.
pub(super) fn facts(answer: &Answer, outgoing: &Outgoing, now: Millis) -> Option<AnswerFacts> {
    let forbids = |v: &str| v.to_ascii_lowercase().contains("no-store");
    if answer.status != 200 || answer.headers.get("cache-control").is_some_and(forbids) {
        return None;
    }
    // A redirect elsewhere is an answer of its own.
    if shown(&answer.url) != shown(&outgoing.url) {
        return None;
    }
    let field = |name: &str| answer.headers.get(name).map(str::to_owned);
    Some(AnswerFacts {
        status: answer.status,
        at: now.0,
        etag: field("etag"),
        last_modified: field("last-modified"),
        content_type: field("content-type"),
        link: field("link"),
    })
}

/// What is remembered after the other side said that it is still right.
pub(super) fn confirmed(kept: &CachedAnswer, answer: &Answer, now: Millis) -> AnswerFacts {
    let newer =
        |name: &str, old: &Option<String>| answer.headers.get(name).map_or_else(|| old.clone(), |v| Some(v.to_owned()));
    AnswerFacts {
        at: now.0,
        etag: newer("etag", &kept.facts.etag),
        last_modified: newer("last-modified", &kept.facts.last_modified),
        ..kept.facts.clone()
    }
}
