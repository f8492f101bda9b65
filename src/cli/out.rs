//! The only place that prints: standard output for data, standard error for remarks.
//!
//! A reader that closes the pipe early (`shiftboss jobs | head`) is no error: the rest is not written. Any other write
//! error is reported once, by [`Out::finish`].

use super::args::{Color, Global};
use super::line::{Line, Style};
use crate::clock::Clock;
use crate::error::{Exit, Fatal};
use crate::model::{Millis, text};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::sync::Arc;

/// Where a command prints.
pub struct Out {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    json: bool,
    /// Whether standard output was a terminal at the start.
    terminal: bool,
    color: bool,
    color_stderr: bool,
    clock: Arc<dyn Clock>,
    broken: Option<io::Error>,
}

impl Out {
    /// Prints to the standard streams, as the options say.
    #[must_use]
    pub fn new(global: &Global, clock: Arc<dyn Clock>) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        Self {
            color: colored(global.color, plain, io::stdout().is_terminal()),
            color_stderr: colored(global.color, plain, io::stderr().is_terminal()),
            stdout: Box::new(BufWriter::new(io::stdout())),
            stderr: Box::new(io::stderr()),
            json: global.json,
            terminal: io::stdout().is_terminal(),
            clock,
            broken: None,
        }
    }

    /// Prints to these writers, without colour.
    #[must_use]
    pub fn to(
        stdout: impl Write + Send + 'static,
        stderr: impl Write + Send + 'static,
        json: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (stdout, stderr) = (Box::new(stdout), Box::new(stderr));
        Self { stdout, stderr, json, terminal: false, color: false, color_stderr: false, clock, broken: None }
    }

    /// Whether data is printed as JSON.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether standard output is coloured.
    #[must_use]
    pub const fn is_colored(&self) -> bool {
        self.color
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Whether nobody reads any more: a command that goes on for long ends then.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.broken.is_some()
    }

    /// Prints a line.
    pub fn line(&mut self, line: impl Into<Line>) {
        let text = line.into().render(self.color);
        self.write(&text);
    }

    /// Prints an empty line.
    pub fn blank(&mut self) {
        self.write("");
    }

    /// Prints a heading.
    pub fn heading(&mut self, text: &str) {
        self.line(Line::of(Style::Strong, text));
    }

    /// Prints a value as one line of JSON.
    pub fn json(&mut self, value: &impl Serialize) {
        let text = json(value);
        self.write(&text);
    }

    /// Prints a document of ours, such as a manual page, as it is.
    pub fn document(&mut self, document: &[u8]) {
        if self.broken.is_none() {
            let result = self.stdout.write_all(document);
            self.note_failure(result);
        }
    }

    /// Says something beside the data, on standard error.
    pub fn remark(&mut self, line: impl Into<Line>) {
        self.flush();
        // Nobody can be told that standard error is gone.
        let _ = writeln!(self.stderr, "{}", line.into().render(self.color_stderr));
    }

    /// Says why the program ends, on standard error.
    pub fn fatal(&mut self, fatal: &Fatal) {
        self.flush();
        let _ = writeln!(self.stderr, "{}", fatal.render(self.color_stderr));
    }

    /// Hands on what was printed so far.
    pub fn flush(&mut self) {
        if self.broken.is_none() {
            let result = self.stdout.flush();
            self.note_failure(result);
        }
    }

    /// Whether the terminal that was there at the start has gone: nobody reads any more.
    fn is_hang_up(&self, error: &io::Error) -> bool {
        self.terminal && error.raw_os_error() == Some(libc::EIO)
    }

    /// Ends the output.
    ///
    /// # Errors
    /// Something could not be written, and not because the reader had enough.
    pub fn finish(&mut self) -> Result<(), Fatal> {
        self.flush();
        match &self.broken {
            Some(e) if e.kind() != ErrorKind::BrokenPipe && !self.is_hang_up(e) => {
                Err(Fatal::new(Exit::Failed, "cannot write to standard output").because(e))
            }
            _ => Ok(()),
        }
    }

    /// Writes one line that is safe already.
    fn write(&mut self, text: &str) {
        if self.broken.is_none() {
            let result = writeln!(self.stdout, "{text}");
            self.note_failure(result);
        }
    }

    fn note_failure(&mut self, result: io::Result<()>) {
        if let Err(e) = result {
            self.broken = Some(e);
        }
    }
}

fn colored(choice: Color, plain: bool, is_terminal: bool) -> bool {
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_terminal && !plain,
    }
}

/// A value as JSON on one line. Characters that could act on a terminal are written as `\u` escapes, which changes
/// nothing of the value.
pub(super) fn json(value: &impl Serialize) -> String {
    // The views hold nothing that JSON cannot say.
    let text = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    if text.chars().all(text::is_shown) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if text::is_shown(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// Prints what clap has to say (help, version, or a mistake) and tells the exit code.
pub(super) fn usage(error: &clap::Error) -> Exit {
    // Nobody can be told that the stream is gone.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Ok }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn colour_is_decided_once() {
        for (choice, plain, terminal, expected) in [
            (Color::Auto, false, true, true),
            (Color::Auto, true, true, false),
            (Color::Auto, false, false, false),
            (Color::Always, true, false, true),
            (Color::Never, false, true, false),
        ] {
            assert_eq!(colored(choice, plain, terminal), expected, "{choice:?} {plain} {terminal}");
        }
    }

    #[test]
    fn json_keeps_its_value_and_loses_its_teeth() {
        let hostile = "\u{9b}2J\u{202e}\x7f\u{e0001}가\n";
        let text = json(&hostile);
        assert!(text.chars().all(text::is_shown), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_ends_quietly_and_a_full_disk_does_not() {
        let clock = Arc::new(ManualClock::default());
        let mut out = Out::to(Failing(ErrorKind::BrokenPipe), io::sink(), false, clock.clone());
        out.line("x");
        assert!(out.is_closed() && out.finish().is_ok());
        let mut out = Out::to(Failing(ErrorKind::StorageFull), io::sink(), false, clock);
        out.json(&1);
        assert_eq!(out.finish().unwrap_err().exit, Exit::Failed);
    }
}
