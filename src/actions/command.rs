//! `command`: runs a program on the input of a job.
//!
//! It guarantees that every value reaches the program as one argument or variable, whatever bytes a name holds: no
//! shell is involved, and a name that starts with `-` is not taken for an option. It refuses to guess what an exit
//! code means: 0 is success, listed codes are what they are listed as, everything else may go away by itself.
//! The program may run more than once for one job; `SHIFTBOSS_KEY` stays the same over all attempts.

mod exit;
#[cfg(test)]
mod tests;
mod variable;

use super::extract::{file_type, grouped};
use super::keys::{on_exists, optional};
use crate::model::action::ChildSpec;
use crate::model::block::{Complaint, Spanned};
use crate::model::{
    Action, Block, Desk, Failure, FileType, JobOrder, Kind, OnExists, OutputFile, Placeholder, Report, Template, Work,
    text,
};
use exit::ExitRules;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use variable::{Source, Variable};

/// Most inputs that `{inputs}` turns into arguments; more fail the job and point to `{inputs_file}`.
const INPUTS_MAX: usize = 1000;
/// Time between TERM and KILL unless the configuration says otherwise.
const GRACE: Duration = Duration::from_secs(10);
/// Longest such time.
const GRACE_MAX: Duration = Duration::from_secs(3600);

/// The `command` action of one task.
#[derive(Clone, Debug)]
pub struct Command {
    program: OsString,
    args: Vec<Template>,
    env: Vec<Variable>,
    cwd: Option<PathBuf>,
    idempotent: bool,
    exit: ExitRules,
    output: Option<Template>,
    on_exists: OnExists,
    grace: Duration,
}

/// The kind of work `command`.
#[derive(Debug)]
pub struct CommandKind;

impl Kind for CommandKind {
    fn key(&self) -> &'static str {
        "command"
    }

    fn summary(&self) -> &'static str {
        "run a program on the input"
    }

    fn example(&self) -> &'static str {
        r#"command = { program = "python3", args = ["merge.py", "{input}"] }"#
    }

    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        let required = block.require("program");
        let program = block.string("program").and_then(|s| read_program(block, s));
        let output = optional(block, "output", |b, key| b.template(key).map(|t| t.value));
        let has_output = block.has("output");
        let on_exists = on_exists(block);
        if let Some(entry) = block.entry("on_exists").filter(|_| !has_output) {
            let complaint = Complaint::new(entry.key_span.clone(), "`on_exists` without an `output`");
            block.problem(complaint.hint(r#"add output = "out/{task}/{name}""#));
        }
        let args = optional(block, "args", |b, key| read_args(b, key, has_output));
        let env = optional(block, "env", |b, key| b.table(key).and_then(|mut t| read_env(&mut t, has_output)));
        let cwd = optional(block, "cwd", |b, key| b.path(key).map(|p| p.value));
        let idempotent = optional(block, "idempotent", |b, key| b.boolean(key));
        let exit = optional(block, "exit", |b, key| b.table(key).and_then(|mut t| read_exit(&mut t)));
        let grace = optional(block, "grace", |b, key| b.duration(key, Duration::ZERO..=GRACE_MAX));
        Some(Arc::new(Command {
            program: program.filter(|_| required)?,
            args: args?.unwrap_or_default(),
            env: env?.unwrap_or_default(),
            cwd: cwd?,
            idempotent: idempotent?.unwrap_or(false),
            exit: exit?.unwrap_or_default(),
            output: output?,
            on_exists: on_exists?,
            grace: grace?.unwrap_or(GRACE),
        }))
    }
}

fn read_program(block: &Block<'_>, program: Spanned<String>) -> Option<OsString> {
    if program.value.is_empty() || program.value.contains('\0') {
        block.problem(Complaint::new(program.span, "`program` is the name or the path of a program"));
        return None;
    }
    if program.value.contains(char::is_whitespace) && !program.value.contains('/') {
        let message = "`program` is one program, without arguments";
        block
            .problem(Complaint::new(program.span, message).hint(r#"write program = "gzip", args = ["-9", "{input}"]"#));
        return None;
    }
    Some(program.value.into())
}

fn read_args(block: &mut Block<'_>, key: &str, has_output: bool) -> Option<Vec<Template>> {
    let args = block.arguments(key)?;
    let mut good = true;
    for arg in &args {
        let complaint = if arg.value.uses(Placeholder::Inputs) && arg.value.only().is_none() {
            Complaint::new(arg.span.clone(), "{inputs} must be an argument of its own")
                .hint("or use {inputs_file}, the path of a NUL-separated list")
        } else if arg.value.uses(Placeholder::Output) && !has_output {
            no_output(&arg.span)
        } else {
            continue;
        };
        block.problem(complaint);
        good = false;
    }
    good.then(|| args.into_iter().map(|a| a.value).collect())
}

fn no_output(span: &std::ops::Range<usize>) -> Complaint {
    Complaint::new(span.clone(), "{output} without an `output` to place").hint(r#"add output = "out/{task}/{name}""#)
}

fn read_env(table: &mut Block<'_>, has_output: bool) -> Option<Vec<Variable>> {
    let read: Vec<_> = table.entries().iter().map(|entry| Variable::read(table, entry)).collect();
    let variables: Vec<_> = read.into_iter().collect::<Option<_>>()?;
    for (variable, entry) in variables.iter().zip(table.entries()) {
        if let Source::Text(template) = &variable.source
            && template.uses(Placeholder::Output)
            && !has_output
        {
            table.problem(no_output(&entry.node.span));
            return None;
        }
    }
    Some(variables)
}

fn read_exit(table: &mut Block<'_>) -> Option<ExitRules> {
    let mut codes = |key| optional(table, key, |b, key| b.integers(key)).map(Option::unwrap_or_default);
    let (retry, permanent) = (codes("retry"), codes("permanent"));
    let (retry, permanent) = (retry?, permanent?);
    let mut good = true;
    for code in retry.iter().chain(&permanent) {
        if !(1..=255).contains(&code.value) {
            let message = format!("an exit code that fails is between 1 and 255: {}", code.value);
            table.problem(Complaint::new(code.span.clone(), message));
            good = false;
        }
    }
    for code in permanent.iter().filter(|p| retry.iter().any(|r| r.value == p.value)) {
        let message = format!("exit code {} is in `retry` and in `permanent`", code.value);
        table.problem(Complaint::new(code.span.clone(), message));
        good = false;
    }
    let plain = |list: Vec<Spanned<i64>>| list.into_iter().filter_map(|c| i32::try_from(c.value).ok()).collect();
    good.then(|| ExitRules { retry: plain(retry), permanent: plain(permanent) })
}

impl Action for Command {
    fn name(&self) -> &'static str {
        "command"
    }

    fn outputs(&self) -> Vec<&Template> {
        self.output.iter().collect()
    }

    fn idempotent(&self) -> bool {
        self.idempotent
    }

    fn work(self: Arc<Self>, order: JobOrder) -> Work {
        Work::Async(Box::pin(async move { self.run(order).await }))
    }
}

impl Command {
    async fn run(&self, mut order: JobOrder) -> Result<Report, Failure> {
        let output = self.prepare(&mut order)?;
        let args = self.arguments(&order)?;
        let values = self.secrets(&order.desk).await?;
        let (env, secrets) = self.environment(&order, output.as_ref(), values);
        let cwd = self.cwd.clone().unwrap_or_else(|| order.base.clone());
        let program = self.program(&order.base);
        let exit =
            order.desk.child(ChildSpec { program, args, env, cwd, grace: self.grace, hide: secrets.clone() }).await?;
        self.exit.judge(&exit, &secrets)?;
        let note = output.map(|o| check_output(&o)).transpose()?.flatten();
        Ok(Report { note, ..Report::default() })
    }

    /// Fills in the values that only a command has, and opens the output. The file is closed again: the program
    /// opens it by its path, or replaces it.
    fn prepare(&self, order: &mut JobOrder) -> Result<Option<Output>, Failure> {
        if let Some(input) = &order.input {
            let in_name = FileType::by_name(&input.name);
            order.vars.file_type = in_name.unwrap_or_else(|| file_type(input)).name();
            order.vars.input = input.path.clone().into_os_string();
        } else if self.texts().any(|t| t.uses(Placeholder::Input)) {
            return Err(Failure::permanent("no_input", "the command uses {input}, and this job has no file"));
        }
        if self.texts().any(|t| t.uses(Placeholder::InputsFile)) {
            order.vars.inputs_file = write_list(order)?.into_os_string();
        }
        let Some(template) = &self.output else { return Ok(None) };
        let target = order.base.join(template.expand_path(&order.vars));
        let Some(OutputFile { temp, target, .. }) = order.desk.outputs(&target, &|_| Vec::new(), self.on_exists)?.pop()
        else {
            return Err(Failure::permanent("internal", "the desk opened no output"));
        };
        order.vars.output = temp.clone().into_os_string();
        Ok(Some(Output { temp, target }))
    }

    /// Every text with placeholders.
    fn texts(&self) -> impl Iterator<Item = &Template> {
        let env = self.env.iter().filter_map(|v| match &v.source {
            Source::Text(template) => Some(template),
            Source::Secret(_) => None,
        });
        self.args.iter().chain(env)
    }

    fn arguments(&self, order: &JobOrder) -> Result<Vec<OsString>, Failure> {
        let mut args = Vec::with_capacity(self.args.len());
        for template in &self.args {
            if template.only() == Some(Placeholder::Inputs) {
                let count = inputs(order).count();
                if count > INPUTS_MAX {
                    let (count, max) = (grouped(count as u64), grouped(INPUTS_MAX as u64));
                    let message = format!("{{inputs}} takes at most {max} inputs, use {{inputs_file}}: {count}");
                    return Err(Failure::permanent("too_many_inputs", message));
                }
                args.extend(inputs(order).map(|p| p.as_os_str().to_owned()));
                continue;
            }
            args.push(no_option(template, template.expand(&order.vars)));
        }
        Ok(args)
    }

    /// The values of the secrets among the variables, in their order.
    async fn secrets(&self, desk: &Arc<dyn Desk>) -> Result<Vec<String>, Failure> {
        let is_secret = |v: &&Variable| matches!(v.source, Source::Secret(_));
        let variables: Vec<_> = self.env.iter().filter(is_secret).cloned().collect();
        if variables.is_empty() {
            return Ok(Vec::new());
        }
        let (tell, told) = tokio::sync::oneshot::channel();
        let lender = Arc::clone(desk);
        desk.blocking(Box::new(move || {
            let value = |variable: &Variable| match &variable.source {
                Source::Text(_) => Ok(String::new()),
                Source::Secret(secret) => lender.secret(secret).map_err(|failure| variable.blame(failure)),
            };
            // Nobody listens any more if the attempt is gone.
            let _ = tell.send(variables.iter().map(value).collect());
        }));
        told.await.unwrap_or_else(|_| Err(Failure::transient("secret_lost", "reading the secrets was cut off")))
    }

    /// The variables, and what must not be shown.
    fn environment(
        &self,
        order: &JobOrder,
        output: Option<&Output>,
        values: Vec<String>,
    ) -> (Vec<(OsString, OsString)>, Vec<String>) {
        let secrets = values.iter().filter_map(|value| variable::needle(value)).collect();
        let (mut env, mut values) = (Vec::new(), values.into_iter());
        for variable in &self.env {
            let value = match &variable.source {
                Source::Text(template) => template.expand(&order.vars),
                Source::Secret(_) => values.next().unwrap_or_default().into(),
            };
            env.push((variable.name.clone(), value));
        }
        let task = &order.vars.task;
        let mut ours = |name: &str, value: OsString| env.push((format!("SHIFTBOSS_{name}").into(), value));
        ours("TASK", task.into());
        ours("RUN", order.run.to_string().into());
        ours("JOB", order.job.to_string().into());
        ours("ATTEMPT", order.attempt.to_string().into());
        ours("KEY", format!("{task}-{}-{}", order.run, order.job).into());
        if let Some(input) = &order.input {
            ours("INPUT", input.path.clone().into_os_string());
            ours("INPUT_NAME", input.name.clone());
        }
        if let Some(output) = output {
            ours("OUTPUT", output.temp.clone().into_os_string());
        }
        (env, secrets)
    }

    /// The program as the child is started with: a relative path starts at the configuration's folder, also when
    /// the program runs elsewhere.
    fn program(&self, base: &Path) -> OsString {
        let path = Path::new(&self.program);
        let is_path = self.program.as_bytes().contains(&b'/');
        if is_path && path.is_relative() { base.join(path).into_os_string() } else { self.program.clone() }
    }
}

/// Where a program writes its output, and what becomes of it.
struct Output {
    temp: PathBuf,
    target: PathBuf,
}

/// The files of a job: its own, or the outputs of the upstream run.
fn inputs(order: &JobOrder) -> impl Iterator<Item = &Path> {
    order.input.iter().map(|i| i.path.as_path()).chain(order.upstream.iter().map(PathBuf::as_path))
}

/// Writes the list of inputs, each ended by a NUL, into the attempt's scratch folder.
fn write_list(order: &JobOrder) -> Result<PathBuf, Failure> {
    let path = order.scratch.join("inputs");
    let mut list = Vec::new();
    for input in inputs(order) {
        list.extend_from_slice(input.as_os_str().as_bytes());
        list.push(0);
    }
    std::fs::write(&path, list).map_err(|e| Failure::io("scratch_write", "write", &path, &e))?;
    Ok(path)
}

/// A value that a name decides, and that starts with `-`, gets `./` in front: no program takes that for an option.
fn no_option(template: &Template, value: OsString) -> OsString {
    let named =
        matches!(template.placeholders().next(), Some(Placeholder::Name | Placeholder::Stem | Placeholder::Ext));
    if named && template.fixed_prefix().is_empty() && value.as_bytes().starts_with(b"-") {
        return OsString::from_vec([OsStr::new("./").as_bytes(), value.as_bytes()].concat());
    }
    value
}

/// What a successful program left as its output: a regular file, or it was no success. An empty one is noted.
fn check_output(output: &Output) -> Result<Option<String>, Failure> {
    let target = text::path(&output.target);
    match std::fs::symlink_metadata(&output.temp) {
        Ok(facts) if !facts.is_file() => {
            let message = format!("the program left something that is no regular file for {target}");
            Err(Failure::permanent("no_output", message))
        }
        Ok(facts) if facts.len() == 0 => Ok(Some("the output is empty".into())),
        Ok(facts) => Ok(Some(format!("{} bytes", grouped(facts.len())))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("the program ended well and left no output for {target}");
            Err(Failure::permanent("no_output", message))
        }
        Err(e) => Err(Failure::io("output_read", "look at", &output.temp, &e)),
    }
}
