//! The hosts that jobs call: which of them hold work back, why and until when, and how the others answer.

use super::{Pane, PaneId, Title, padded};
use crate::model::view::HostView;
use crate::tui::app::{App, plural};
use crate::tui::theme::{Meaning, Theme};
use crate::tui::widgets::line::{put, tint};
use crate::tui::widgets::table::{self, Column};
use crate::tui::widgets::{spark, text, time};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

/// The hosts that jobs call.
pub struct Hosts;

/// Columns before the reason of a closed host: below its name.
const REASON_INDENT: usize = 11;
/// Seconds of the sparkline, where the whole width is there and where it is not.
const SECONDS: (usize, usize) = (16, 8);
/// From this width on there is room for the longer one.
const WIDE: usize = 100;
/// Number of the column of names, and the columns that numbers leave it beside its least width.
const NAME: usize = 1;
const NAME_SPARED: usize = 8;

impl Pane for Hosts {
    fn id(&self) -> PaneId {
        PaneId::Hosts
    }

    fn title(&self, app: &App) -> Title {
        let n = app.hosts.len() as u64;
        let closed = app.hosts.iter().filter(|h| is_closed(h)).count();
        let note = match (n, closed) {
            (0, _) => String::new(),
            (n, 0) => format!("{n} host{}", plural(n)),
            (n, closed) => format!("{n} host{}, {closed} closed", plural(n)),
        };
        Title { name: "Fetch".to_owned(), note }
    }

    fn draw(&self, app: &App, area: Rect, buf: &mut Buffer) {
        let area = padded(area);
        let theme = &app.theme;
        let width = usize::from(area.width);
        if app.hosts.is_empty() {
            let say = text::fit("no host has been called yet", width, theme.glyphs);
            return put(buf, area, 0, [Span::styled(say, theme.style(Meaning::Dim))]);
        }
        let columns = columns(width);
        put(buf, area, 0, table::head(&columns, theme.style(Meaning::Dim), theme.glyphs));
        let focused = app.focus == PaneId::Hosts;
        let mut at = 1;
        for (index, host) in app.hosts.iter().enumerate().skip(top(app, area.height.saturating_sub(1).into())) {
            if at >= usize::from(area.height) {
                break;
            }
            put(buf, area, at, table::row(&columns, &cells(host, &columns, theme), theme.glyphs));
            if is_closed(host) {
                let line = text::fit(&reason(app, host), width.saturating_sub(REASON_INDENT), theme.glyphs);
                let indent = Span::raw(" ".repeat(REASON_INDENT));
                put(buf, area, at + 1, [indent, Span::styled(line, theme.style(Meaning::Attention))]);
            }
            for line in at..at + height(host) {
                if focused && index == app.host_index() {
                    tint(buf, area, line, theme.selected(true));
                }
            }
            at += height(host);
        }
    }
}

/// Whether nobody calls it now.
fn is_closed(host: &HostView) -> bool {
    host.closed_until.is_some()
}

/// Lines that a host takes.
fn height(host: &HostView) -> usize {
    if is_closed(host) { 2 } else { 1 }
}

/// The first host on the screen: with the focus, such that the cursor is seen.
fn top(app: &App, room: usize) -> usize {
    if app.focus != PaneId::Hosts {
        return 0;
    }
    let mut top = app.host_index();
    let mut used = app.hosts.get(top).map_or(0, height);
    while let Some(above) = top.checked_sub(1).filter(|i| used + height(&app.hosts[*i]) <= room) {
        used += height(&app.hosts[above]);
        top = above;
    }
    top
}

/// Index of the host that covers a line below the headings.
#[must_use]
pub fn row_at(app: &App, line: usize) -> Option<usize> {
    let mut end = 0;
    app.hosts.iter().enumerate().skip(top(app, app.room(PaneId::Hosts))).find_map(|(index, host)| {
        end += height(host);
        (line < end).then_some(index)
    })
}

fn columns(width: usize) -> Vec<(usize, Column)> {
    let seconds = if width >= WIDE { SECONDS.0 } else { SECONDS.1 };
    let mut columns = table::arrange(
        &[
            Column { title: "  STATE", width: 9, right: false, rank: 1 },
            Column { title: "HOST", width: 0, right: false, rank: 0 },
            Column { title: "NOW", width: 6, right: true, rank: 2 },
            Column { title: "WAIT", width: 5, right: true, rank: 5 },
            Column { title: "RATE", width: 7, right: true, rank: 10 },
            Column { title: "CALLS", width: 7, right: true, rank: 8 },
            Column { title: "BAD", width: 5, right: true, rank: 3 },
            Column { title: "429", width: 5, right: true, rank: 7 },
            Column { title: "P50", width: 6, right: true, rank: 9 },
            Column { title: "P95", width: 6, right: true, rank: 4 },
            Column { title: "EACH S", width: seconds, right: false, rank: 6 },
        ],
        width.saturating_sub(NAME_SPARED),
    );
    let rest = width.min(NAME_SPARED);
    columns.iter_mut().filter(|(i, _)| *i == NAME).for_each(|(_, c)| c.width += rest);
    columns
}

fn cells(host: &HostView, columns: &[(usize, Column)], theme: &Theme) -> [(String, Style); 11] {
    let quiet = theme.style(Meaning::Dim);
    let (sign, word, meaning) = state(host, theme);
    let width = |wanted: usize| columns.iter().find(|(i, _)| *i == wanted).map_or(0, |(_, c)| c.width);
    let number = |n: u64, meaning: Meaning| (short(n), if n == 0 { quiet } else { theme.style(meaning) });
    let latency = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), time::latency);
    let seconds: Vec<u64> = host.per_second.iter().map(|n| u64::from(*n)).collect();
    [
        (format!("{sign} {word}"), theme.style(meaning)),
        (text::fit_middle(&host.host, width(NAME), theme.glyphs), theme.style(Meaning::Strong)),
        (
            format!("{}/{}", host.in_flight, host.concurrency),
            theme.style(if host.in_flight == 0 { Meaning::Dim } else { Meaning::Plain }),
        ),
        number(host.waiting.into(), Meaning::Plain),
        (host.rate.clone().unwrap_or_else(|| "-".to_owned()), quiet),
        number(host.requests, Meaning::Plain),
        number(host.bad, Meaning::Failed),
        number(host.busy, Meaning::Attention),
        (latency(host.p50_ms), quiet),
        (latency(host.p95_ms), theme.style(Meaning::Plain)),
        (spark::spark(&seconds, width(10), theme.glyphs), theme.style(Meaning::Focus)),
    ]
}

/// A count in at most 5 columns: `9,999`, `18.2k`, `1.2M`.
fn short(n: u64) -> String {
    if n < 10_000 { time::count(n) } else { time::short(n) }
}

/// Sign, word and meaning, in the order of trust.
fn state(host: &HostView, theme: &Theme) -> (char, &'static str, Meaning) {
    let glyphs = theme.glyphs;
    match (host.breaker.as_str(), is_closed(host)) {
        ("probing", _) => (glyphs.signs[2], "probing", Meaning::Attention),
        ("open", _) => (glyphs.signs[0], "open", Meaning::Attention),
        (_, true) => (glyphs.signs[1], "cooling", Meaning::Attention),
        (_, false) => (glyphs.live, "ok", Meaning::Dim),
    }
}

/// `until 14:03:10, in 59s: answered 429`
fn reason(app: &App, host: &HostView) -> String {
    let until = host.closed_until.as_ref().map_or_else(String::new, |at| {
        let left = time::until(at, app.now()).map_or_else(String::new, |ms| format!(", in {}", time::exact(ms)));
        format!("until {}{left}", time::stamp(at, app.now()))
    });
    host.why.as_ref().map_or_else(|| until.clone(), |why| format!("{until}: {why}"))
}
