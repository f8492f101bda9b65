//! `report`: what a period came to, as text, HTML and JSON in the archive folder, and to alert channels.
//!
//! The text form is one screenful. Text and HTML are made by templates, ours or the user's own; what they may use is
//! the document that the JSON form is. Every text in it is escaped before a template sees it, so that a name can act on
//! no terminal, and the HTML form escapes once more, so that it can act on no mail program.

pub mod folders;
pub mod period;
pub mod render;
pub mod sheet;
#[cfg(test)]
mod tests;

use super::keys::{on_exists, optional};
use crate::model::alert::{Fact, Message, MessageKind, Severity};
use crate::model::block::{Complaint, Spanned, shown};
use crate::model::{
    Action, Block, Desk, Failure, JobOrder, Kind, OnExists, Placeholder, Report as Done, Template, Work, text,
};
use period::Period;
use render::{Format, Templates};
use sheet::Sheet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Default output, below the folder for reports.
const OUTPUT: &str = "{task}-{date}.{ext}";
/// Most folders whose sizes a report shows.
const FOLDERS_MAX: usize = 50;
/// Most channels of one report.
const CHANNELS_MAX: usize = 20;

/// The `report` action of one task.
#[derive(Clone, Debug)]
pub struct Report {
    period: Period,
    formats: Vec<Format>,
    output: Option<Template>,
    on_exists: OnExists,
    to: Vec<Spanned<String>>,
    templates: Templates,
    /// None: those that the configuration names.
    folders: Option<Vec<PathBuf>>,
}

/// The kind of work `report`.
#[derive(Debug)]
pub struct ReportKind;

impl Kind for ReportKind {
    fn key(&self) -> &'static str {
        "report"
    }

    fn summary(&self) -> &'static str {
        "write what a period came to: text, HTML, JSON, and to alert channels"
    }

    fn example(&self) -> &'static str {
        r#"report = { period = "24h", formats = ["text", "html"], to = ["ops-mail"] }"#
    }

    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        let period = optional(block, "period", Period::read);
        let formats = optional(block, "formats", read_formats).map(|f| f.unwrap_or_else(|| Format::ALL.to_vec()));
        let output = optional(block, "output", |b, key| read_output(b, key, formats.as_deref()));
        let on_exists = on_exists(block);
        let to = optional(block, "to", |b, key| few(b, key, CHANNELS_MAX));
        let text = optional(block, "template_text", |b, key| b.path(key).map(|p| p.value));
        let html = optional(block, "template_html", |b, key| b.path(key).map(|p| p.value));
        let folders = optional(block, "folders", read_folders);
        Some(Arc::new(Report {
            period: period?.unwrap_or_default(),
            formats: formats?,
            output: output?,
            on_exists: on_exists?,
            to: to?.unwrap_or_default(),
            templates: Templates { text: text?, html: html? },
            folders: folders?,
        }))
    }
}

fn few(block: &mut Block<'_>, key: &str, max: usize) -> Option<Vec<Spanned<String>>> {
    let list = block.strings(key)?;
    if let Some(beyond) = list.get(max) {
        block.problem(Complaint::new(beyond.span.clone(), format!("`{key}` takes at most {max}: {}", list.len())));
        return None;
    }
    for (i, one) in list.iter().enumerate() {
        if list.iter().take(i).any(|earlier| earlier.value == one.value) {
            block.problem(Complaint::new(one.span.clone(), format!("named twice: {}", shown(&one.value))));
            return None;
        }
    }
    Some(list)
}

fn read_formats(block: &mut Block<'_>, key: &str) -> Option<Vec<Format>> {
    let list = few(block, key, Format::ALL.len() + 1)?;
    if list.is_empty() {
        let span = block.node(key).map_or(0..0, |n| n.span.clone());
        block.problem(Complaint::new(span, "`formats` is empty").hint(r#"one of "text", "html" and "json""#));
        return None;
    }
    let mut formats = Vec::new();
    for word in list {
        let Some(format) = Format::from_name(&word.value) else {
            let message = format!("no such format: {}", shown(&word.value));
            block.problem(Complaint::new(word.span, message).known(&word.value, Format::ALL.map(Format::name)));
            return None;
        };
        formats.push(format);
    }
    Some(formats)
}

/// More than one format are told apart by their extension alone, so that a suffix goes to all of them.
fn read_output(block: &mut Block<'_>, key: &str, formats: Option<&[Format]>) -> Option<Template> {
    use Placeholder::{Date, Ext, Host, Job, Run, Task};
    let text = block.string(key)?;
    let template = block.as_template(key, &text, |p| matches!(p, Task | Date | Run | Job | Host | Ext))?;
    let source = template.value.source();
    let front = source.strip_suffix(".{ext}");
    if front.unwrap_or(source).contains("{ext}") || (front.is_none() && formats.is_some_and(|f| f.len() > 1)) {
        let complaint = Complaint::new(text.span, "`output` must end with `.{ext}`, and have it nowhere else");
        block.problem(complaint.hint(r#"write output = "archive/{task}-{date}.{ext}""#));
        return None;
    }
    Some(template.value)
}

fn read_folders(block: &mut Block<'_>, key: &str) -> Option<Vec<PathBuf>> {
    let list = few(block, key, FOLDERS_MAX)?;
    let base = block.base();
    let mut folders = Vec::new();
    for folder in list {
        if folder.value.is_empty() || folder.value.contains('\0') {
            block.problem(Complaint::new(folder.span, format!("not a folder: {}", shown(&folder.value))));
            return None;
        }
        folders.push(crate::model::block::absolute(base, Path::new(&folder.value)));
    }
    Some(folders)
}

impl Action for Report {
    fn name(&self) -> &'static str {
        "report"
    }

    fn outputs(&self) -> Vec<&Template> {
        self.output.iter().collect()
    }

    fn idempotent(&self) -> bool {
        true
    }

    fn uses_archive(&self) -> bool {
        self.output.is_none()
    }

    fn channels(&self) -> &[Spanned<String>] {
        &self.to
    }

    fn work(self: Arc<Self>, order: JobOrder) -> Work {
        Work::Blocking(Box::new(move || self.make(&order)))
    }
}

impl Report {
    fn make(&self, order: &JobOrder) -> Result<Done, Failure> {
        let desk = Arc::clone(&order.desk);
        let around = desk.surroundings();
        let (from, to) = self.period.ending(order.planned_at, || desk.last_success())?;
        let statistics = desk.statistics(from, to)?;
        desk.check()?;
        let before = desk.statistics(Period::before(from, to), from)?;
        let folders = self.folders.as_ref().unwrap_or(&around.folders);
        let sizes = folders::sizes(folders, &order.base, &|| desk.stopped().is_some());
        desk.check()?;
        let about = sheet::About {
            title: order.vars.task.clone(),
            host: order.vars.host.clone(),
            made_at: order.planned_at,
            zone: around.timezone,
        };
        let sheet = Sheet::new(&about, &statistics, &before, sizes);
        let archive = around.archive.unwrap_or_else(|| order.base.join("archive"));
        let written = self.write(&sheet, &archive, order)?;
        self.tell(&sheet, order, desk.as_ref())?;
        Ok(Done { note: Some(format!("{}; {written}", sheet.headline)), ..Done::default() })
    }

    /// Writes every format, and says how many files that were.
    fn write(&self, sheet: &Sheet, archive: &Path, order: &JobOrder) -> Result<String, Failure> {
        let Some((first, more)) = self.formats.split_first() else {
            return Err(Failure::permanent("internal", "a report without a format"));
        };
        let mut vars = order.vars.clone();
        vars.name = format!("report.{}", first.extension()).into();
        let target = match &self.output {
            Some(template) => order.base.join(template.expand_path(&vars)),
            None => {
                Template::parse(OUTPUT).map_or_else(|_| archive.join("report"), |t| archive.join(t.expand_path(&vars)))
            }
        };
        let siblings = |target: &Path| more.iter().map(|f| target.with_extension(f.extension())).collect();
        // Made before anything is opened: a template with a fault leaves nothing.
        let made: Vec<String> =
            self.formats.iter().map(|f| render::render(*f, sheet, &self.templates)).collect::<Result<_, _>>()?;
        let outputs = order.desk.outputs(&target, &siblings, self.on_exists)?;
        for (mut output, content) in outputs.into_iter().zip(&made) {
            let fault = |e: &std::io::Error| Failure::io("output_write", "write", &output.target, e);
            output.file.write_all(content.as_bytes()).map_err(|e| fault(&e))?;
        }
        Ok(text::counted(made.len() as u64, "file"))
    }

    fn tell(&self, sheet: &Sheet, order: &JobOrder, desk: &dyn Desk) -> Result<(), Failure> {
        if self.to.is_empty() {
            return Ok(());
        }
        let message = self.message(sheet, order)?;
        for channel in &self.to {
            desk.tell(&channel.value, &format!("report-{}-{}", order.key, channel.value), message.clone())?;
        }
        Ok(())
    }

    fn message(&self, sheet: &Sheet, order: &JobOrder) -> Result<Message, Failure> {
        let fact = |(name, value): (&str, String)| Fact { name: name.to_owned(), value };
        Ok(Message {
            severity: Severity::Info,
            kind: MessageKind::Report,
            subject: format!("{}: {}", sheet.title, sheet.headline),
            facts: sheet.facts().into_iter().map(fact).collect(),
            text: render::render(Format::Text, sheet, &self.templates)?,
            html: Some(render::render(Format::Html, sheet, &self.templates)?),
            log: Vec::new(),
            commands: sheet.commands(),
            task: Some(order.vars.task.clone()),
            host: order.vars.host.clone(),
            count: 1,
            at: order.planned_at,
        })
    }
}
