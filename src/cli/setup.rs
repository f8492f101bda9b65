//! `check` and `init`: what is right or wrong with a configuration, and a first one.

use super::human;
use super::line::{Line, Style};
use super::out::Out;
use super::table::{Align, Table};
use crate::config::crontab::Imported;
use crate::config::{Config, Created};
use crate::error::{Exit, Fatal, Problems};
use crate::model::{Trigger, text};
use serde_json::{Value, json};
use std::path::Path;

/// Says whether the configuration is right, and what its tasks are.
///
/// # Errors
/// What was wrong with it. With `--json` problems are data, and the exit code alone is left.
pub fn check(loaded: Result<Config, Fatal>, out: &mut Out) -> Result<Exit, Fatal> {
    let config = match loaded {
        Ok(config) => config,
        Err(Fatal { exit, problems: Some(problems), .. }) if out.is_json() => {
            out.json(&json!({ "ok": false, "path": text::path(&problems.path), "problems": spelled(&problems) }));
            return out.finish().map(|()| exit);
        }
        Err(fatal) => return Err(fatal),
    };
    if out.is_json() {
        let tasks: Vec<Value> = config
            .tasks
            .iter()
            .map(|t| json!({ "name": *t.name, "trigger": t.trigger.name(), "source": source(&t.trigger), "action": t.action.name() }))
            .collect();
        out.json(&json!({ "ok": true, "path": text::path(&config.path), "tasks": tasks }));
    } else {
        let tasks = human::plural(config.tasks.len() as u64, "task");
        out.line(Line::from(text::path(&config.path)).text(": ").and(Style::Good, "ok").text(format!(", {tasks}")));
        let mut table = Table::new([("TASK", Align::Left), ("ACTION", Align::Left), ("STARTED BY", Align::Left)]);
        for task in &config.tasks {
            let started = format!("{} {}", task.trigger.name(), source(&task.trigger));
            table.row([
                Line::of(Style::Strong, &*task.name),
                Line::from(task.action.name()),
                Line::from(started.trim_end()),
            ]);
        }
        table.print(out);
    }
    out.finish().map(|()| Exit::Ok)
}

fn spelled(problems: &Problems) -> Vec<Value> {
    problems
        .list
        .iter()
        .map(|p| {
            let (line, column) = problems.place(p.span.start);
            json!({ "line": line, "column": column, "message": p.message, "hint": p.hint })
        })
        .collect()
}

/// What a trigger looks at, in words.
fn source(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Watch(watch) => format!("{} ({})", text::path(&watch.dir), watch.patterns.join(", ")),
        Trigger::After(after) => after.tasks.join(", "),
        Trigger::Schedule(schedule) => schedule.describe(),
        Trigger::Manual => String::new(),
    }
}

/// Says what `init` made, and what comes next.
///
/// # Errors
/// Standard output cannot be written.
pub fn init(created: &Created, out: &mut Out) -> Result<Exit, Fatal> {
    if out.is_json() {
        let folders: Vec<String> = created.folders.iter().map(|f| text::path(f)).collect();
        out.json(&json!({ "config": text::path(&created.config), "folders": folders }));
        return out.finish().map(|()| Exit::Ok);
    }
    out.line(Line::from("wrote ").and(Style::Strong, text::path(&created.config)));
    for folder in &created.folders {
        out.line(Line::from("made  ").text(text::path(folder)));
    }
    let dir = created.config.parent().unwrap_or(Path::new("."));
    out.blank();
    out.line(format!("next: cd {} && shiftboss, and drop a file into a watched folder", text::path(dir)));
    out.finish().map(|()| Exit::Ok)
}

/// Says what became of a crontab: on standard error what was left out and what is different.
///
/// # Errors
/// Standard output cannot be written.
pub fn imported(
    created: &Created,
    imported: &Imported,
    problems: Option<&Problems>,
    out: &mut Out,
) -> Result<Exit, Fatal> {
    let left_out = imported.left_out();
    let exit = if left_out > 0 || problems.is_some() { Exit::Failed } else { Exit::Ok };
    if out.is_json() {
        let remarks: Vec<Value> = imported
            .remarks
            .iter()
            .map(|r| json!({ "line": r.line, "text": r.text, "left_out": r.left_out }))
            .collect();
        let problems = problems.map(spelled).unwrap_or_default();
        out.json(&json!({
            "config": text::path(&created.config), "tasks": imported.tasks, "left_out": left_out, "remarks": remarks,
            "problems": problems,
        }));
        return out.finish().map(|()| exit);
    }
    let tasks = human::plural(imported.tasks.len() as u64, "task");
    out.line(Line::from("wrote ").and(Style::Strong, text::path(&created.config)).text(format!(", {tasks}")));
    for remark in &imported.remarks {
        let (style, word) = if remark.left_out { (Style::Warn, "left out") } else { (Style::Dim, "note") };
        out.remark(Line::of(style, word).text(format!(": line {}: {}", remark.line, remark.text)));
    }
    if let Some(problems) = problems {
        let count = human::plural(problems.list.len() as u64, "problem");
        out.remark(Line::of(Style::Warn, "to mend").text(format!(": {count} of the new file, see `shiftboss check`")));
    }
    out.blank();
    out.line("next: read it, shiftboss check, and take the lines out of the crontab before shiftboss starts them too");
    out.finish().map(|()| exit)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Captured;
    use super::*;
    use crate::config::parse;

    const BROKEN: &str = "[supervisor]\nworkrs = 2\n";

    fn broken() -> Result<Config, Fatal> {
        parse(Path::new("/srv/config.toml"), BROKEN, &[]).map_err(Fatal::config)
    }

    #[test]
    fn problems_are_data_with_json() {
        let captured = Captured::json();
        assert_eq!(check(broken(), &mut captured.out()).unwrap(), Exit::Config);
        let value: Value = serde_json::from_str(&captured.stdout()).unwrap();
        assert_eq!((&value["ok"], &value["problems"][0]["line"]), (&json!(false), &json!(2)));
        assert_eq!(check(broken(), &mut Captured::human().out()).unwrap_err().exit, Exit::Config);
    }

    #[test]
    fn init_tells_the_next_step() {
        let captured = Captured::human();
        let created = Created { config: "/srv/a/config.toml".into(), folders: vec!["/srv/a/inbox".into()] };
        init(&created, &mut captured.out()).unwrap();
        insta::assert_snapshot!(captured.stdout(), @"
        wrote /srv/a/config.toml
        made  /srv/a/inbox

        next: cd /srv/a && shiftboss, and drop a file into a watched folder
        ");
    }
}
