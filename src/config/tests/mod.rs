//! Whole configurations: what is refused, where, and with which hint; and what good ones become. The kinds of work are
//! stand-ins, so that these tests are about the configuration alone.

mod alerts;
mod refusals;
mod schedules;
mod secrets;
mod together;
mod whole;

use super::*;
use crate::model::action::{JobOrder, Work};
use crate::model::block::Spanned;
use crate::model::task::ClaimBy;
use crate::model::{Action, After, AfterOn, Duplicates, OnInterrupt, RetryPolicy};

/// An action that is nothing but its settings.
#[derive(Debug)]
struct Fake {
    key: &'static str,
    outputs: Vec<Template>,
    idempotent: bool,
}

impl Action for Fake {
    fn name(&self) -> &'static str {
        self.key
    }
    fn outputs(&self) -> Vec<&Template> {
        self.outputs.iter().collect()
    }
    fn idempotent(&self) -> bool {
        self.idempotent
    }
    fn work(self: Arc<Self>, _: JobOrder) -> Work {
        Work::Blocking(Box::new(|| Ok(crate::model::Report::default())))
    }
}

struct FakeExtract;
struct FakeCommand;

impl Kind for FakeExtract {
    fn key(&self) -> &'static str {
        "extract"
    }
    fn summary(&self) -> &'static str {
        "describes"
    }
    fn example(&self) -> &'static str {
        "extract = {}"
    }
    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        let output = block.template("output");
        let given = block.has("output");
        let output = if given { output? } else { Spanned { value: Template::literal("out/x.json"), span: 0..0 } };
        Some(Arc::new(Fake { key: "extract", outputs: vec![output.value], idempotent: true }))
    }
}

impl Kind for FakeCommand {
    fn key(&self) -> &'static str {
        "command"
    }
    fn summary(&self) -> &'static str {
        "runs"
    }
    fn example(&self) -> &'static str {
        "command = { program = \"true\" }"
    }
    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        block.require("program");
        let (program, args) = (block.string("program"), block.arguments("args"));
        let (output, idempotent) = (block.template("output"), block.boolean("idempotent").unwrap_or(false));
        program?;
        drop(args);
        Some(Arc::new(Fake { key: "command", outputs: output.into_iter().map(|o| o.value).collect(), idempotent }))
    }
}

const KINDS: &[&dyn Kind] = &[&FakeExtract, &FakeCommand];

fn read(source: &str) -> Result<Config, Problems> {
    parse(Path::new("/srv/config.toml"), source, KINDS)
}

fn good(source: &str) -> Config {
    read(source).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// Every problem as `line:column message | hint`.
fn problems(source: &str) -> Vec<String> {
    let problems = read(source).expect_err(source);
    let line = |p: &Problem| {
        let (line, column) = problems.place(p.span.start);
        format!("{line}:{column} {}{}", p.message, p.hint.as_ref().map_or(String::new(), |h| format!(" | {h}")))
    };
    problems.list.iter().map(line).collect()
}

/// A task `a` that watches `inbox`, with one more line.
fn with(line: &str) -> String {
    format!(
        "[tasks.a]\nwatch = {{ dir = \"inbox\", match = [\"*.csv\"] }}\nextract = {{ output = \"out/{{name}}\" }}\n{line}\n"
    )
}
