//! `logs`: what was said. JSON is one object a line, so that it can be read while it grows.

use super::args::Logs;
use super::line::{Line, Style};
use super::out::Out;
use super::{Backend, human, refused};
use crate::control::wire::PAGE_MAX;
use crate::error::{Exit, Fatal};
use crate::model::action::Level;
use crate::model::ports::LogsQuery;
use crate::model::view::{LogLine, LogsPage};
use std::time::Duration;

/// Lines shown of the whole log when the command names no number.
const LINES_DEFAULT: u32 = 200;
/// The log is looked at again at least this often while it is followed.
const PAUSE: Duration = Duration::from_millis(500);

/// Prints the log, and goes on with it if that was asked.
pub(super) async fn logs(args: &Logs, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let is_whole = args.job.is_some() && args.lines.is_none();
    let mut query = LogsQuery {
        job: args.job,
        task: args.task.clone(),
        level: args.level,
        search: args.search.clone(),
        from: is_whole.then_some(0),
        limit: if is_whole { PAGE_MAX } else { args.lines.unwrap_or(LINES_DEFAULT).min(PAGE_MAX) },
    };
    // Subscribed before the first page: what is said in between is not missed.
    let is_following = args.follow && backend.live;
    let mut ticks = is_following.then(|| backend.reader.ticks());
    let first = backend.reader.logs(query.clone()).await.map_err(refused)?;
    // Lines cut off before the first one are no gap: they were not asked for.
    let first = LogsPage { gap: 0, ..first };
    query.limit = PAGE_MAX;
    let mut is_behind = is_whole;
    advance(&mut query, &first, out);
    loop {
        while is_behind && !out.is_closed() {
            let page = match backend.reader.logs(query.clone()).await {
                Ok(page) => page,
                // A supervisor that stopped while we followed has said what it had to say.
                Err(_) if is_following => return Ok(Exit::Ok),
                Err(refusal) => return Err(refused(refusal)),
            };
            is_behind = advance(&mut query, &page, out);
        }
        out.flush();
        let Some(waiting) = &mut ticks else { break };
        if out.is_closed() {
            break;
        }
        tokio::select! {
            tick = waiting.next() => if tick.is_none() {
                ticks = None;
            },
            () = tokio::time::sleep(PAUSE) => {}
        }
        is_behind = true;
    }
    if args.follow && !is_following {
        out.remark(Line::of(Style::Dim, "no supervisor is running: nothing to follow"));
    }
    Ok(Exit::Ok)
}

/// Prints a page and moves on behind it; tells whether it brought anything.
fn advance(query: &mut LogsQuery, page: &LogsPage, out: &mut Out) -> bool {
    if page.gap > 0 && !out.is_json() {
        let lines = human::plural(page.gap, "line");
        out.line(Line::of(Style::Warn, format!("--- {lines} dropped here: the log was cut ---")));
    } else if page.gap > 0 {
        out.json(&serde_json::json!({ "gap": page.gap }));
    }
    for line in &page.lines {
        if out.is_json() {
            out.json(line);
        } else {
            out.line(human_line(line));
        }
    }
    let is_news = query.from != Some(page.next);
    query.from = Some(page.next);
    is_news
}

fn human_line(line: &LogLine) -> Line {
    let (name, style) = match line.level {
        Level::Error => ("ERROR", Style::Bad),
        Level::Warn => ("WARN ", Style::Warn),
        Level::Info => ("INFO ", Style::Good),
        Level::Debug => ("DEBUG", Style::Dim),
    };
    let mut out = Line::of(Style::Dim, human::time(&line.at)).text(" ").and(style, name).text(" ");
    if let Some(source) = line.task.as_ref().or(line.target.as_ref()) {
        out.push(Style::Strong, source);
        out.push(Style::Plain, " ");
    }
    if let Some(job) = line.job {
        out.push(Style::Dim, format!("#{job} "));
    }
    out.text(&line.message)
}
