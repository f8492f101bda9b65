//! From an answer to the output of its job: what is wanted of its body, checked and written. All of it blocks, but for
//! what is done to bodies in memory.

use super::Fetch;
use super::answer::{self, About, Page};
use super::body::{Whole, cut, unwritten};
use super::outgoing::Parts;
use super::spec::{Form, Spec};
use crate::model::action::network::AnswerFacts;
use crate::model::action::{Desk, OutputFile, Resume};
use crate::model::{Failure, OnExists, text};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use url::Url;

/// Bytes of a body that is no good, as they are shown.
const HEAD_MAX: usize = 1024;

/// A good answer with its whole body.
pub(super) struct Got {
    pub(super) body: Whole,
    /// The output that holds the body already, where it went there directly.
    pub(super) output: Option<OutputFile>,
    pub(super) facts: AnswerFacts,
    pub(super) version: &'static str,
    /// Where it came from.
    pub(super) url: Url,
    pub(super) link: Option<String>,
    pub(super) cached: bool,
}

/// Where paging is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Done {
    /// URL of the next page, without secrets.
    pub(super) next: String,
    /// Pages done.
    pub(super) pages: u32,
    pub(super) items: u64,
    /// Bytes received.
    pub(super) bytes: u64,
    /// Bytes of the output that belong to them.
    pub(super) written: u64,
    pub(super) columns: Option<Vec<String>>,
    pub(super) requests: u32,
}

pub(super) fn open_output(desk: &dyn Desk, target: &Path, on_exists: OnExists) -> Result<OutputFile, Failure> {
    let mut outputs = desk.outputs(target, &|_| Vec::new(), on_exists)?;
    outputs.pop().ok_or_else(|| Failure::permanent("internal", "no output was opened"))
}

/// Looks at a body, where anything is wanted of it: what is expected, and its items, which go to `out`.
pub(super) fn examine(
    spec: &Spec,
    parts: &Parts,
    got: &Got,
    out: Option<&mut dyn Write>,
) -> Result<Option<Page>, Failure> {
    let about = About { expect: &spec.expect, write: &spec.write, paging: None };
    if out.is_none() && !about.needs_json() && spec.expect.min_bytes == 0 && spec.expect.contains.is_none() {
        return Ok(None);
    }
    let examined = answer::examine(&mut *got.body.open()?, &about, &mut None, out);
    examined.map(Some).map_err(|failure| show(failure, parts, got))
}

/// Checks an answer and writes what is wanted of it.
pub(super) fn place_one(
    fetch: &Fetch,
    desk: &dyn Desk,
    target: &Path,
    parts: &Parts,
    got: &Got,
) -> Result<Page, Failure> {
    let spec = &fetch.spec;
    let is_body = spec.write.form == Form::Body;
    let mut output = if is_body { None } else { Some(open_output(desk, target, spec.on_exists)?) };
    let page = examine(spec, parts, got, output.as_mut().map(|o| &mut o.file as &mut dyn Write))?;
    if is_body && got.output.is_none() {
        let mut output = open_output(desk, target, spec.on_exists)?;
        let written = match &got.body {
            Whole::Memory(gathered) => output.file.write_all(gathered.bytes()),
            Whole::File(path) => {
                File::open(path).and_then(|mut body| std::io::copy(&mut body, &mut output.file)).map(|_| ())
            }
        };
        written.map_err(|e| unwritten(target, &e))?;
    }
    Ok(page.unwrap_or_default())
}

/// Adds the head of the answer to a failure about its body.
fn show(mut failure: Failure, parts: &Parts, got: &Got) -> Failure {
    let kind = got.facts.content_type.as_deref().map_or_else(String::new, |kind| format!("content-type: {kind}\n"));
    let head = got.body.head(HEAD_MAX);
    let shown = format!("{} {}\n{kind}\n{}", got.version, got.facts.status, String::from_utf8_lossy(&head));
    let lines: Vec<String> = parts.concealed(shown).lines().map(|line| text::escape(line).into_owned()).collect();
    failure.answer = Some(text::cut(&lines.join("\n"), Failure::ANSWER_MAX).into_owned());
    failure.message = parts.concealed(failure.message);
    failure
}

/// The output of all pages, and where an earlier attempt was with it.
pub(super) fn begin_pages(desk: &dyn Desk, target: &Path, on_exists: OnExists) -> Result<(Done, File), Failure> {
    if let Some(Resume { state, mut outputs }) = desk.resume() {
        let at = serde_json::from_slice::<Done>(&state).ok();
        if let (Some(at), Some(mut output)) = (at, outputs.pop()) {
            let long_enough = output.file.metadata().is_ok_and(|m| m.len() >= at.written);
            if long_enough && cut(&mut output.file, at.written).is_ok() {
                return Ok((at, output.file));
            }
        }
        desk.start_afresh()?;
    }
    Ok((Done::default(), open_output(desk, target, on_exists)?.file))
}

/// What a page came to: itself, the columns of the table, the length of the output.
pub(super) type Written = (Page, Option<Vec<String>>, u64);

/// Adds a page to the output, and sees that the disk has it.
pub(super) fn write_page(
    fetch: &Fetch,
    parts: &Parts,
    got: &Got,
    output: &File,
    mut columns: Option<Vec<String>>,
) -> Result<Written, Failure> {
    let spec = &fetch.spec;
    let paging = spec.pages.as_ref().map(|p| &p.by);
    let about = About { expect: &spec.expect, write: &spec.write, paging };
    let mut out = output;
    let examined = answer::examine(&mut *got.body.open()?, &about, &mut columns, Some(&mut out));
    let page = examined.map_err(|failure| show(failure, parts, got))?;
    let written = output.sync_data().and_then(|()| output.metadata()).map(|m| m.len());
    let written = written.map_err(|e| Failure::transient("output", format!("cannot write a page: {e}")))?;
    Ok((page, columns, written))
}
