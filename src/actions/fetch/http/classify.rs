//! What an error of the library is: which code, and whether trying again may help.

use super::connect::NotInTime;
use super::dial::{Lost, connect_max};
use super::pace::Late;
use super::report::Fault;
use super::resolver::NoAddress;
use super::unpack::TooLarge;
use crate::actions::fetch::spec::Deadlines;
use crate::model::FailureClass::{Permanent, Timeout, Transient};
use hyper_util::client::legacy;
use std::error::Error;
use std::io;
use std::time::Duration;

/// Most errors that are followed from one to its cause.
const DEPTH_MAX: usize = 32;

/// Why no answer came.
pub(super) fn lost(lost: &Lost, deadlines: &Deadlines, has_roots: bool) -> Fault {
    match lost {
        Lost::FirstByte(most) => late(format!("no answer within {}", span(*most))),
        Lost::Total(most) => late(format!("not done within {}", span(*most))),
        Lost::Error(error) => before_answer(error, deadlines, has_roots),
    }
}

/// Which deadline of the body ran out.
pub(super) fn slow(late_by: Late) -> Fault {
    match late_by {
        Late::Total(most) => late(format!("not done within {}", span(most))),
        Late::Idle(most) => late(format!("nothing more came within {}", span(most))),
        Late::Slow(floor) => {
            let what = format!("less than {} bytes a second over {}", floor.rate, span(floor.over));
            Fault::new(Timeout, "http_slow", what)
        }
    }
}

fn late(what: String) -> Fault {
    Fault::new(Timeout, "http_timeout", what)
}

fn before_answer(error: &legacy::Error, deadlines: &Deadlines, has_roots: bool) -> Fault {
    let chain = causes(error);
    let reason = reason(&chain);
    if let Some(none) = find::<NoAddress>(&chain) {
        return match none {
            NoAddress::Refused(policy) => refused(policy.text()),
            NoAddress::Late(most) => late(format!("the address of the host was not found within {}", span(*most))),
            NoAddress::Unknown(_) => Fault::new(Transient, "http_dns", format!("cannot find the host, {reason}")),
        };
    }
    if let Some(tls) = find::<rustls::Error>(&chain) {
        let is_final = matches!(tls, rustls::Error::InvalidCertificate(_));
        let hint = if has_roots { "" } else { " (this system has no certificates of authorities, set `ca_file`)" };
        let class = if is_final { Permanent } else { Transient };
        return Fault::new(class, "http_tls", format!("no secure connection, {reason}{hint}"));
    }
    if error.is_connect() && (find::<NotInTime>(&chain).is_some() || find::<io::Error>(&chain).is_some_and(is_late)) {
        return late(format!("no connection within {}", span(connect_max(deadlines))));
    }
    if error.is_connect() {
        return Fault::new(Transient, "http_connect", format!("cannot connect, {reason}"));
    }
    match find::<hyper::Error>(&chain) {
        Some(e) if e.is_parse_too_large() => {
            Fault::new(Transient, "http_broken", "the head of the answer is too large")
        }
        Some(e) if e.is_parse() => Fault::new(Transient, "http_broken", format!("what came is no HTTP, {reason}")),
        Some(_) => Fault::new(Transient, "http_cut_short", format!("the connection broke before the answer, {reason}")),
        None => Fault::new(Transient, "http_broken", format!("the request failed, {reason}")),
    }
}

/// Why a body ended before its end.
pub(super) fn body(error: &io::Error) -> Fault {
    let chain = causes(error);
    if let Some(window) = find::<TooLarge>(&chain) {
        return Fault::new(Permanent, "http_too_large", window.to_string());
    }
    let reason = reason(&chain);
    let ended = |e: &io::Error| e.kind() == io::ErrorKind::UnexpectedEof;
    match find::<hyper::Error>(&chain) {
        Some(e) if e.is_parse() => Fault::new(Transient, "http_broken", format!("the body is no HTTP, {reason}")),
        Some(_) => Fault::new(Transient, "http_cut_short", format!("the body was cut short, {reason}")),
        None if find::<io::Error>(&chain).is_some_and(ended) => {
            Fault::new(Transient, "http_cut_short", "the body was cut short, its packing is not complete")
        }
        None => Fault::new(Transient, "http_broken", format!("the body cannot be unpacked, {reason}")),
    }
}

/// An address that the policy refuses.
pub(super) fn refused(policy: &str) -> Fault {
    Fault { host_alone: true, ..Fault::new(Permanent, "http_address", format!("address refused, {policy}")) }
}

fn is_late(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

/// An error and what caused it. An I/O error hides the error inside it from `source`, so it is looked into.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> Vec<&'e (dyn Error + 'static)> {
    let mut chain = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| chain.len() < DEPTH_MAX) {
        chain.push(error);
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    chain
}

fn find<'e, E: Error + 'static>(chain: &[&'e (dyn Error + 'static)]) -> Option<&'e E> {
    chain.iter().rev().find_map(|e| e.downcast_ref())
}

/// The last cause in words, to be made fit to show by the case.
fn reason(chain: &[&(dyn Error + 'static)]) -> String {
    chain.last().map_or_else(|| "for no known reason".to_owned(), ToString::to_string)
}

fn span(most: Duration) -> String {
    if most.subsec_millis() == 0 { format!("{}s", most.as_secs()) } else { format!("{}ms", most.as_millis()) }
}
