//! What is wrong, once for all that have it in common; where messages go and whether they arrive; the newest of them.

use super::{Pane, PaneId, Title, padded};
use crate::model::view::{AlertsView, ChannelView, OpenCause, OutboxView};
use crate::tui::app::{App, plural};
use crate::tui::theme::Meaning;
use crate::tui::widgets::line::{put, tint};
use crate::tui::widgets::table::{self, Column};
use crate::tui::widgets::{text, time};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

/// What is wrong, and who was told.
pub struct Alerts;

/// Columns before the second line of a cause, a channel or a message.
const INDENT: usize = 11;

type Spans = Vec<Span<'static>>;

/// A line, and the index of what it is about; none for a heading.
type Row = (Option<usize>, Spans);

impl Pane for Alerts {
    fn id(&self) -> PaneId {
        PaneId::Alerts
    }

    fn title(&self, app: &App) -> Title {
        let page = app.alerts.held.page.as_deref();
        let open = page.map_or(0, |p| p.open.len()) as u64;
        let broken = page.map_or(0, |p| p.channels.iter().filter(|c| c.error.is_some()).count()) as u64;
        let note = match (page, open, broken) {
            (None, ..) => String::new(),
            (_, open, 0) => format!("{open} open"),
            (_, open, n) => format!("{open} open, {n} channel{} cannot send", plural(n)),
        };
        Title { name: "Alerts".to_owned(), note }
    }

    fn draw(&self, app: &App, area: Rect, buf: &mut Buffer) {
        let area = padded(area);
        let theme = &app.theme;
        let width = usize::from(area.width);
        let held = &app.alerts.held;
        let Some(page) = held.page.as_deref() else {
            let (say, meaning) = match &held.error {
                Some(why) => (format!("cannot read the alerts: {why}"), Meaning::Attention),
                None => ("asking for the alerts".to_owned(), Meaning::Dim),
            };
            let lines = text::wrap(&say, width, 3, theme.glyphs).into_iter().enumerate();
            return lines.for_each(|(row, line)| put(buf, area, row, [Span::styled(line, theme.style(meaning))]));
        };
        let rows = rows(app, page, width);
        let top = top(app, &rows, area.height.into());
        let index = app.alerts.index();
        for (row, (item, spans)) in rows.into_iter().skip(top).take(area.height.into()).enumerate() {
            put(buf, area, row, spans);
            if item == Some(index) {
                tint(buf, area, row, theme.selected(app.focus == PaneId::Alerts));
            }
        }
    }
}

/// Index of what a line of the pane is about.
#[must_use]
pub fn row_at(app: &App, line: usize) -> Option<usize> {
    let page = app.alerts.held.page.as_deref()?;
    let rows = rows(app, page, app.size.0.into());
    let top = top(app, &rows, app.room(PaneId::Alerts));
    rows.get(top + line).and_then(|(item, _)| *item)
}

/// The first line on the screen, such that what the cursor is on is seen whole, and headings where there is room.
fn top(app: &App, rows: &[Row], room: usize) -> usize {
    let index = app.alerts.index();
    let last = rows.iter().rposition(|(item, _)| *item == Some(index)).unwrap_or(0);
    (last + 1).saturating_sub(room)
}

fn rows(app: &App, page: &AlertsView, width: usize) -> Vec<Row> {
    let mut out = Vec::new();
    let mut index = 0;
    let mut add = |out: &mut Vec<Row>, lines: Vec<Spans>| {
        out.extend(lines.into_iter().map(|line| (Some(index), line)));
        index += 1;
    };
    if page.open.is_empty() {
        out.push((None, say(app, "nothing is open: no failed job, no overdue schedule, no warning", width)));
    } else {
        let columns = table::arrange(&CAUSES, width);
        out.push((None, head(app, &columns)));
        page.open.iter().for_each(|cause| add(&mut out, draw_cause(app, cause, &columns, width)));
    }
    out.push((None, Spans::new()));
    if page.channels.is_empty() {
        let hint = "nobody is told: no channel is configured. Write one: [alerts.ops] slack = { webhook = { env = \"SLACK_WEBHOOK\" } }";
        out.extend(text::wrap(hint, width, 3, app.theme.glyphs).into_iter().map(|line| (None, say(app, &line, width))));
    } else {
        let columns = table::arrange(&CHANNELS, width);
        out.push((None, head(app, &columns)));
        page.channels.iter().for_each(|channel| add(&mut out, draw_channel(app, channel, &columns, width)));
    }
    if !page.messages.is_empty() {
        let columns = table::arrange(&MESSAGES, width);
        out.extend([(None, Spans::new()), (None, head(app, &columns))]);
        page.messages.iter().for_each(|message| add(&mut out, draw_message(app, message, &columns, width)));
    }
    out
}

const CAUSES: [Column; 7] = [
    Column { title: "  OPEN", width: 9, right: false, rank: 1 },
    Column { title: "TASK", width: 14, right: false, rank: 0 },
    Column { title: "CODE", width: 0, right: false, rank: 2 },
    Column { title: "NOW/ALL", width: 11, right: true, rank: 3 },
    Column { title: "SINCE", width: 5, right: true, rank: 4 },
    Column { title: "LAST", width: 5, right: true, rank: 5 },
    Column { title: "MUTED FOR", width: 9, right: true, rank: 6 },
];

const CHANNELS: [Column; 6] = [
    Column { title: "  CHANNEL", width: 9, right: false, rank: 1 },
    Column { title: "NAME", width: 14, right: false, rank: 0 },
    Column { title: "TO", width: 0, right: false, rank: 5 },
    Column { title: "WAIT", width: 5, right: true, rank: 3 },
    Column { title: "24 H", width: 6, right: true, rank: 4 },
    Column { title: "NEXT TRY", width: 8, right: true, rank: 2 },
];

const MESSAGES: [Column; 6] = [
    Column { title: "  MESSAGE", width: 9, right: false, rank: 1 },
    Column { title: "CHANNEL", width: 14, right: false, rank: 3 },
    Column { title: "SUBJECT", width: 0, right: false, rank: 0 },
    Column { title: "ABOUT", width: 9, right: false, rank: 4 },
    Column { title: "TRIES", width: 5, right: true, rank: 5 },
    Column { title: "AGE", width: 4, right: true, rank: 2 },
];

fn head(app: &App, columns: &[(usize, Column)]) -> Spans {
    table::head(columns, app.theme.style(Meaning::Dim), app.theme.glyphs)
}

fn say(app: &App, what: &str, width: usize) -> Spans {
    vec![Span::styled(text::fit(what, width, app.theme.glyphs), app.theme.style(Meaning::Dim))]
}

/// A line below the first one.
fn below(app: &App, what: &str, meaning: Meaning, width: usize) -> Spans {
    let line = text::fit(what, width.saturating_sub(INDENT), app.theme.glyphs);
    vec![Span::raw(" ".repeat(INDENT)), Span::styled(line, app.theme.style(meaning))]
}

fn age(app: &App, at: &str) -> String {
    time::between(at, app.now()).map_or_else(|| "-".to_owned(), time::age)
}

/// Time left until an instant that lies ahead.
fn left(app: &App, at: Option<&String>) -> Option<String> {
    at.and_then(|at| time::until(at, app.now())).filter(|ms| *ms > 0).map(time::exact)
}

fn draw_cause(app: &App, cause: &OpenCause, columns: &[(usize, Column)], width: usize) -> Vec<Spans> {
    let theme = &app.theme;
    let (quiet, plain) = (theme.style(Meaning::Dim), theme.style(Meaning::Plain));
    let (sign, meaning) = severity(app, &cause.severity);
    let task = if cause.task.is_empty() { "supervisor" } else { &cause.task };
    let cells = [
        (format!("{sign} {}", cause.severity), theme.style(meaning)),
        (task.to_owned(), theme.style(Meaning::Strong)),
        (cause.code.clone(), plain),
        (format!("{}/{}", time::short(cause.open), time::short(cause.total)), plain),
        (age(app, &cause.first_at), quiet),
        (age(app, &cause.last_at), quiet),
        (left(app, cause.muted_until.as_ref()).unwrap_or_else(|| "-".to_owned()), quiet),
    ];
    vec![table::row(columns, &cells, theme.glyphs), below(app, &cause.text, meaning, width)]
}

fn draw_channel(app: &App, channel: &ChannelView, columns: &[(usize, Column)], width: usize) -> Vec<Spans> {
    let theme = &app.theme;
    let (quiet, plain) = (theme.style(Meaning::Dim), theme.style(Meaning::Plain));
    let quiet_for = left(app, channel.quiet_until.as_ref());
    let (sign, meaning) = match (&channel.error, &quiet_for) {
        (Some(_), _) => (theme.glyphs.signs[0], Meaning::Failed),
        (None, Some(_)) => (theme.glyphs.signs[5], Meaning::Attention),
        (None, None) => (theme.glyphs.live, Meaning::Dim),
    };
    let waits = if channel.waiting == 0 { quiet } else { theme.style(Meaning::Attention) };
    let next = left(app, channel.next_at.as_ref()).filter(|_| channel.waiting > 0);
    let cells = [
        (format!("{sign} {}", channel.kind), theme.style(meaning)),
        (channel.name.clone(), theme.style(Meaning::Strong)),
        (channel.target.clone(), quiet),
        (time::short(channel.waiting), waits),
        (time::short(channel.sent), if channel.sent == 0 { quiet } else { plain }),
        (next.map_or_else(|| "-".to_owned(), |next| format!("in {next}")), plain),
    ];
    let mut lines = vec![table::row(columns, &cells, theme.glyphs)];
    lines.extend(channel.error.as_ref().map(|why| below(app, why, Meaning::Failed, width)));
    if let (Some(at), Some(quiet_for)) = (&channel.quiet_until, quiet_for) {
        let until = format!("quiet until {}, for {quiet_for}: what comes waits", time::stamp(at, app.now()));
        lines.push(below(app, &until, Meaning::Attention, width));
    }
    lines
}

fn draw_message(app: &App, message: &OutboxView, columns: &[(usize, Column)], width: usize) -> Vec<Spans> {
    let theme = &app.theme;
    let quiet = theme.style(Meaning::Dim);
    let (sign, word, meaning) = match message.state.as_str() {
        "sent" => (theme.glyphs.signs[6], "sent", Meaning::Dim),
        "given_up" => (theme.glyphs.signs[0], "lost", Meaning::Failed),
        _ => (theme.glyphs.signs[1], "waiting", Meaning::Attention),
    };
    let (_, about) = severity(app, &message.severity);
    let body = if meaning == Meaning::Dim { quiet } else { theme.style(Meaning::Plain) };
    let cells = [
        (format!("{sign} {word}"), theme.style(meaning)),
        (message.channel.clone(), quiet),
        (message.subject.clone(), body),
        (message.severity.clone(), if meaning == Meaning::Dim { quiet } else { theme.style(about) }),
        (message.tries.to_string(), quiet),
        (age(app, &message.created_at), quiet),
    ];
    let mut lines = vec![table::row(columns, &cells, theme.glyphs)];
    // Once it has arrived, what went wrong before is over.
    let error = message.error.as_ref().filter(|_| message.state != "sent");
    lines.extend(error.map(|why| below(app, why, meaning, width)));
    lines
}

/// Sign and meaning of a severity.
fn severity(app: &App, name: &str) -> (char, Meaning) {
    match name {
        "error" => (app.theme.glyphs.signs[0], Meaning::Failed),
        "warning" => ('!', Meaning::Attention),
        "recovered" => (app.theme.glyphs.signs[6], Meaning::Dim),
        _ => (app.theme.glyphs.signs[5], Meaning::Dim),
    }
}
