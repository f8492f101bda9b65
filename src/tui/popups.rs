//! How popups look.

use super::action::{Group, TABLE};
use super::app::App;
use super::keymap::shown;
use super::layers::{Layer, found};
use super::layout::Layout;
use super::panes::PaneId;
use super::theme::Meaning;
use super::widgets::line::{clear, frame, put, put_right, tint};
use super::widgets::text;
use crate::model::Filter;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use tui_input::Input;

/// Draws a popup over what is there. Answers where the cursor belongs, if a line is being typed in it.
pub fn draw(app: &App, layer: &Layer, layout: &Layout, buf: &mut Buffer) -> Option<Position> {
    match layer {
        Layer::Help(top) => help(app, *top, buf),
        Layer::Filter(input) => return filter(app, input, layout, buf),
        Layer::Prompt(prompt) => {
            let keys = if prompt.intent.is_some() { "y yes   n no" } else { "counting   n no" };
            let mut lines = vec![line(app, Meaning::Strong, &prompt.title), Line::default()];
            lines.extend(prompt.facts.iter().map(|f| line(app, Meaning::Plain, f)));
            if !prompt.facts.is_empty() {
                lines.push(Line::default());
            }
            lines.push(line(app, Meaning::Focus, keys));
            boxed(app, "", &lines, None, buf);
        }
        Layer::Reason(reason) => {
            let mut lines = vec![line(app, Meaning::Strong, &reason.title)];
            lines.extend(reason.facts.iter().map(|f| line(app, Meaning::Plain, f)));
            lines.push(Line::default());
            let at = lines.len();
            lines.push(Line::default());
            lines.push(match reason.error {
                Some(error) => line(app, Meaning::Attention, error),
                None => Line::default(),
            });
            if !app.reasons.is_empty() {
                lines.push(line(app, Meaning::Dim, "Up and Down offer the last ones:"));
                let offered = app.reasons.iter().take(3).enumerate();
                lines.extend(offered.map(|(i, r)| {
                    let meaning = if reason.recalled == Some(i) { Meaning::Focus } else { Meaning::Dim };
                    line(app, meaning, &format!("  {r}"))
                }));
            }
            lines.push(line(app, Meaning::Focus, "Enter skips   Esc does not"));
            return boxed(app, "", &lines, Some((at, &reason.input)), buf);
        }
        Layer::Tasks(index) => {
            let tasks = app.status.as_ref().map_or(&[][..], |s| &s.tasks);
            let shown = usize::from(app.size.1).saturating_sub(8).clamp(1, 16);
            let top = (index + 1).saturating_sub(shown);
            let lines: Vec<_> = tasks
                .iter()
                .enumerate()
                .skip(top)
                .take(shown)
                .map(|(i, t)| {
                    let meaning = if i == *index { Meaning::Focus } else { Meaning::Plain };
                    let sign = if i == *index { app.theme.glyphs.cursor } else { ' ' };
                    line(app, meaning, &format!("{sign} {}  {} {}", t.name, t.trigger, t.source))
                })
                .collect();
            boxed(app, "start which task?", &lines, None, buf);
        }
        Layer::Palette(input, index) => return palette(app, input, *index, buf),
    }
    None
}

fn line(app: &App, meaning: Meaning, content: &str) -> Line<'static> {
    let room = usize::from(app.size.0).saturating_sub(8);
    Line::from(Span::styled(text::fit(content, room, app.theme.glyphs), app.theme.style(meaning)))
}

/// A box in the middle of the screen; line `input.0` of it is a line being typed.
fn boxed(
    app: &App,
    title: &str,
    lines: &[Line<'static>],
    input: Option<(usize, &Input)>,
    buf: &mut Buffer,
) -> Option<Position> {
    let longest =
        lines.iter().map(|l| l.spans.iter().map(|s| text::width(&s.content)).sum::<usize>()).max().unwrap_or(0);
    let width = u16::try_from(longest.max(text::width(title) + 4).max(46) + 6).unwrap_or(u16::MAX).min(app.size.0);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(app.size.1);
    let area = Rect::new((app.size.0 - width) / 2, (app.size.1 - height) / 3, width, height);
    let inner = opened(app, area, title, buf);
    for (row, line) in lines.iter().enumerate() {
        put(buf, inner, row, line.spans.iter().cloned());
    }
    input.and_then(|(row, input)| typed(app, "> ", input, inner, row, buf))
}

/// Empties an area and frames it; what is inside.
fn opened(app: &App, area: Rect, title: &str, buf: &mut Buffer) -> Rect {
    clear(buf, area);
    frame(buf, area, app.theme.style(Meaning::Focus), app.theme.glyphs);
    if !title.is_empty() {
        let at = Rect { x: area.x.saturating_add(2), width: area.width.saturating_sub(4), ..area };
        put(buf, at, 0, [Span::styled(format!(" {title} "), app.theme.style(Meaning::Focus))]);
    }
    Rect::new(
        area.x.saturating_add(3),
        area.y.saturating_add(1),
        area.width.saturating_sub(6),
        area.height.saturating_sub(2),
    )
}

/// A line being typed, scrolled so that the cursor is seen.
fn typed(app: &App, sign: &str, input: &Input, area: Rect, row: usize, buf: &mut Buffer) -> Option<Position> {
    let room = usize::from(area.width).saturating_sub(sign.len() + 1);
    let scroll = input.visual_scroll(room);
    let spans = [
        Span::styled(sign.to_owned(), app.theme.style(Meaning::Focus)),
        Span::styled(text::window(input.value(), scroll, room), app.theme.style(Meaning::Strong)),
    ];
    put(buf, area, row, spans);
    let x = area.x + u16::try_from(sign.len() + input.visual_cursor().saturating_sub(scroll)).ok()?;
    let y = area.y + u16::try_from(row).ok()?;
    Some(Position::new(x, y)).filter(|p| area.intersection(buf.area).contains(*p))
}

/// The filter is typed on the last line; what is wrong with it, or how it is written, stands behind it.
fn filter(app: &App, input: &Input, layout: &Layout, buf: &mut Buffer) -> Option<Position> {
    let area = layout.footer;
    clear(buf, area);
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let wrong = Filter::parse(input.value()).err().filter(|_| app.focus != PaneId::Logs);
    let (say, meaning) = match (&wrong, app.focus) {
        (Some(error), _) => (error.to_string(), Meaning::Attention),
        (None, PaneId::Logs) => ("Enter searches, empty shows all, Esc leaves".to_owned(), Meaning::Dim),
        (None, _) => ("words task: state: host: code: age>10m !not   Enter keeps".to_owned(), Meaning::Dim),
    };
    let room = usize::from(inner.width);
    let used = text::width(input.value()) + 4;
    let say = text::fit(&say, room.saturating_sub(used.min(room / 2) + 1), app.theme.glyphs);
    let said = text::width(&say);
    put_right(buf, inner, 0, 0, &say, app.theme.style(meaning));
    let line = Rect { width: u16::try_from(room.saturating_sub(said + 1)).unwrap_or(inner.width), ..inner };
    typed(app, "/ ", input, line, 0, buf)
}

fn palette(app: &App, input: &Input, index: usize, buf: &mut Buffer) -> Option<Position> {
    let all = found(input.value());
    let height = app.size.1.saturating_sub(6).clamp(3, 18).min(app.size.1);
    let width = app.size.0.min(84);
    let area = Rect::new((app.size.0 - width) / 2, (app.size.1 - height) / 3, width, height);
    let inner = opened(app, area, "all actions", buf);
    let room = usize::from(inner.height).saturating_sub(1);
    let top = (index + 1).saturating_sub(room);
    for (row, (i, spec)) in all.iter().enumerate().skip(top).take(room).enumerate() {
        let refusal = spec.action.refusal(app);
        let key = spec.keys.first().map_or_else(String::new, |k| shown(k));
        let glyphs = app.theme.glyphs;
        let refused = refusal.is_some();
        let style = |m: Meaning| app.theme.style(if refused { Meaning::Dim } else { m });
        let about =
            text::fit(refusal.as_deref().unwrap_or(spec.doc), usize::from(inner.width).saturating_sub(26), glyphs);
        let spans = [
            Span::styled(text::left(&key, 7, glyphs), style(Meaning::Focus)),
            Span::styled(text::left(spec.name, 18, glyphs), style(Meaning::Strong)),
            Span::styled(about, style(Meaning::Dim)),
        ];
        put(buf, inner, row + 1, spans);
        if i == index {
            tint(buf, inner, row + 1, app.theme.selected(true));
        }
    }
    typed(app, ": ", input, inner, 0, buf)
}

/// What the keys do here: this pane's first, then those that work everywhere.
fn help(app: &App, top: usize, buf: &mut Buffer) {
    let width = app.size.0.min(92);
    let height = app.size.1.saturating_sub(2).min(app.size.1);
    let area = Rect::new((app.size.0 - width) / 2, (app.size.1 - height) / 2, width, height);
    let inner = opened(app, area, "help", buf);
    let lines = help_lines(app, inner.width.into());
    let room = usize::from(inner.height);
    let top = top.min(lines.len().saturating_sub(room));
    let below = lines.len().saturating_sub(top + room);
    for (row, line) in lines.into_iter().skip(top).take(room).enumerate() {
        put(buf, inner, row, line.spans);
    }
    let more = if below > 0 { format!(" {below} more lines: j   Esc closes ") } else { " Esc closes ".to_owned() };
    let foot = Rect { width: area.width.saturating_sub(2), ..area };
    put_right(buf, foot, usize::from(area.height).saturating_sub(1), 2, &more, app.theme.style(Meaning::Dim));
}

fn help_lines(app: &App, width: usize) -> Vec<Line<'static>> {
    let glyphs = app.theme.glyphs;
    let mut lines = Vec::new();
    for group in Group::ALL {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::from(Span::styled(group.title(), app.theme.style(Meaning::Strong))));
        let here = |s: &&super::action::Spec| s.panes.is_empty() || s.panes.contains(&app.focus);
        let of_group = || TABLE.iter().filter(|s| s.group == group);
        for spec in of_group().filter(here).chain(of_group().filter(|s| !here(s))) {
            let keys = spec.keys.iter().map(|k| shown(k)).collect::<Vec<_>>().join(" ");
            let refusal = spec.action.refusal(app);
            let meaning = |m: Meaning| app.theme.style(if refusal.is_some() { Meaning::Dim } else { m });
            let about = match &refusal {
                Some(_) if !here(&spec) => format!("{} (not here)", spec.doc),
                Some(why) => format!("{} ({why})", spec.doc),
                None => spec.doc.to_owned(),
            };
            let mut rest = text::wrap(&about, width.saturating_sub(14), 3, glyphs).into_iter();
            lines.push(Line::from(vec![
                Span::styled(text::left(&keys, 14.min(width), glyphs), meaning(Meaning::Focus)),
                Span::styled(rest.next().unwrap_or_default(), meaning(Meaning::Plain)),
            ]));
            lines.extend(rest.map(|l| Line::from(Span::styled(format!("{:14}{l}", ""), meaning(Meaning::Plain)))));
        }
    }
    lines
}
