//! The command of an entry as the `command` of a task: a program and its arguments where no shell is needed, and what
//! the entry says beside it: a lock, silence, standard input, a name.

/// The shell of cron.
const SHELL: &str = "/bin/sh";
/// Longest name that is made from a command, in bytes; a number may follow.
const NAME_MAX: usize = 48;

/// A command, turned.
#[derive(Debug, Default)]
pub(super) struct Turned {
    pub(super) program: String,
    pub(super) args: Vec<String>,
    /// Another start is left out while it runs.
    pub(super) skips_overlap: bool,
    /// What is different from the entry.
    pub(super) notes: Vec<String>,
    /// A name for the task.
    pub(super) name: String,
}

impl Turned {
    /// The same as another user.
    pub(super) fn run_as(&mut self, user: &str) {
        let program = std::mem::replace(&mut self.program, "runuser".to_owned());
        let before = ["-u", user, "--", program.as_str()].map(str::to_owned);
        self.args.splice(0..0, before);
    }
}

/// Turns a command. `is_shared`: whether a lock file is taken by more than one entry.
pub(super) fn turn(raw: &str, shell: Option<&str>, is_shared: &dyn Fn(&str) -> bool) -> Turned {
    let (command, input) = split_input(raw);
    let mut turned = Turned::default();
    let mut command = command.trim().to_owned();
    if let Some(without) = without_silence(&command) {
        command = without;
        turned.notes.push("its output is kept with the job, so it is no longer sent to /dev/null".to_owned());
    }
    turned.name = name(&command);
    if let Some(lock) = Lock::read(&command) {
        turned.name = name(&lock.command);
        if is_shared(&lock.file) {
            turned.notes.push(format!("other entries take {} too, so flock stays", lock.file));
        } else {
            turned.notes.push(format!("flock on {} became overlap = \"skip\"", lock.file));
            (turned.skips_overlap, command) = (true, lock.command);
        }
    }
    if let Some(input) = input {
        turned.program = shell.unwrap_or(SHELL).to_owned();
        // The text goes to the command as an argument of the shell, so that no character of it means anything.
        let script = format!("printf '%s\\n' \"$0\" | {{ {command}\n}}");
        turned.args = vec!["-c".to_owned(), script, input];
    } else if is_plain(&command) {
        let mut words = command.split_whitespace().map(str::to_owned);
        turned.program = words.next().unwrap_or_default();
        turned.args = words.collect();
    } else {
        turned.program = shell.unwrap_or(SHELL).to_owned();
        turned.args = vec!["-c".to_owned(), command];
    }
    turned
}

/// The lock file of an entry that is only started if nobody has it.
pub(super) fn lock_of(raw: &str) -> Option<String> {
    let command = split_input(raw).0;
    let command = command.trim();
    Lock::read(&without_silence(command).unwrap_or_else(|| command.to_owned())).map(|lock| lock.file)
}

/// The command up to its first `%`, and its standard input, where further ones end lines. `\%` is a `%`.
fn split_input(raw: &str) -> (String, Option<String>) {
    let (mut command, mut input) = (String::new(), None::<String>);
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' if chars.peek() == Some(&'%') => {
                chars.next();
                '%'
            }
            '%' if input.is_none() => {
                input = Some(String::new());
                continue;
            }
            '%' => '\n',
            c => c,
        };
        input.as_mut().unwrap_or(&mut command).push(c);
    }
    (command, input)
}

/// The command without what sends its output away at its end; none if nothing does.
fn without_silence(command: &str) -> Option<String> {
    const NOWHERE: [&str; 5] = [">/dev/null", "1>/dev/null", "2>/dev/null", "&>/dev/null", ">&/dev/null"];
    let mut rest = command.trim_end();
    let mut silenced = false;
    loop {
        let apart = NOWHERE.iter().find_map(|token| {
            let (operator, target) = token.split_at(token.len() - "/dev/null".len());
            let front = rest.strip_suffix(target)?.trim_end().strip_suffix(operator)?;
            // `2>` is not the `>` of a word that ends with 2, and `2>>` is none of these.
            let ends_well = front.ends_with(char::is_whitespace) && !front.trim_end().is_empty();
            ends_well.then_some(front)
        });
        if let Some(front) = apart {
            (rest, silenced) = (front.trim_end(), true);
        } else if let Some(front) = rest.strip_suffix("2>&1").filter(|f| f.ends_with(char::is_whitespace)) {
            rest = front.trim_end();
        } else {
            break;
        }
    }
    // Without /dev/null, `2>&1` belongs to a file or a pipe.
    (silenced && !rest.ends_with(['>', '<', '|', '&', ';'])).then(|| rest.to_owned())
}

/// Whether a command is words alone, which every shell would take as they are.
fn is_plain(command: &str) -> bool {
    const BUILT_IN: [&str; 19] = [
        ".", ":", "[", "alias", "cd", "command", "eval", "exec", "exit", "export", "if", "set", "source", "test",
        "trap", "ulimit", "umask", "while", "for",
    ];
    let plain = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_./:=@,+-%".contains(c);
    let first = command.split_whitespace().next().unwrap_or_default();
    // A program below the working folder is looked for there by a shell alone.
    let is_relative = first.contains('/') && !first.starts_with('/');
    command.chars().all(plain) && !first.contains('=') && !is_relative && !BUILT_IN.contains(&first)
}

/// `flock -n FILE command …`
struct Lock {
    file: String,
    command: String,
}

impl Lock {
    fn read(command: &str) -> Option<Self> {
        let mut rest = command.trim_start();
        let mut word = || {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, more) = rest.split_at(end);
            rest = more.trim_start();
            (!word.is_empty()).then_some(word)
        };
        if word()?.rsplit('/').next() != Some("flock") {
            return None;
        }
        let mut gives_up = false;
        let file = loop {
            match word()? {
                "-n" | "-xn" | "-nx" | "-en" | "-ne" | "--nb" | "--nonblock" => gives_up = true,
                "-x" | "-e" | "--exclusive" | "-o" | "--close" | "-F" | "--no-fork" | "--verbose" => {}
                "-E" | "--conflict-exit-code" => drop(word()?),
                option if option.starts_with('-') => return None,
                file => break file,
            }
        };
        // A name that a shell would still change, or a number of a descriptor, is no lock of this entry alone.
        let is_path = !file.contains(['$', '`', '\'', '"', '*', '~']) && file.parse::<u32>().is_err();
        if !gives_up || !is_path || rest.is_empty() {
            return None;
        }
        let command = match rest.strip_prefix("-c").filter(|r| r.starts_with(char::is_whitespace)) {
            Some(quoted) => unquoted(quoted.trim())?,
            // Beyond an operator the lock is not held.
            None if rest.contains([';', '|', '&', '\n']) => return None,
            None => rest.to_owned(),
        };
        Some(Self { file: file.to_owned(), command })
    }
}

/// The one quoted text that this is, without quotes inside.
fn unquoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = text.get(1..)?.strip_suffix(quote)?;
    let forbidden: &[char] = if quote == '"' { &['"', '$', '`', '\\'] } else { &['\''] };
    (!inner.contains(forbidden)).then(|| inner.to_owned())
}

/// A name for a task: the script or the program of a command, without folders and extension.
fn name(command: &str) -> String {
    const AROUND: [&str; 22] = [
        "bash", "cd", "chronic", "dash", "env", "exec", "flock", "ionice", "ksh", "nice", "nohup", "perl", "php",
        "python", "python2", "python3", "ruby", "sh", "sudo", "test", "timeout", "zsh",
    ];
    let is_name = |part: &str| part.bytes().any(|b| b.is_ascii_alphabetic());
    let words = command.split(|c: char| c.is_whitespace() || ";|&()<>\"'`$".contains(c));
    let words = words.filter(|w| !w.is_empty() && !w.starts_with('-') && !w.contains('='));
    let mut fallback = None;
    let mut after_cd = false;
    for word in words {
        let last = word.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let stem = match last.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => stem,
            _ => last,
        };
        let folder = std::mem::replace(&mut after_cd, stem == "cd");
        if folder || !is_name(stem) {
            continue;
        }
        if AROUND.contains(&stem) {
            fallback.get_or_insert(stem);
            continue;
        }
        return tidy(stem);
    }
    tidy(fallback.unwrap_or_default())
}

/// Letters, digits, `-` and `_` of a text, and something if there are none.
fn tidy(text: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let made: String = text.chars().map(good).take(NAME_MAX).collect();
    let made = made.trim_matches('-');
    if made.is_empty() { "job".to_owned() } else { made.to_owned() }
}
