//! The lines of a crontab: blanks, comments, settings, entries.

/// A line.
#[derive(Debug)]
pub(super) enum Line<'a> {
    Blank,
    /// What stands behind the `#`.
    Comment(&'a str),
    /// `NAME = value`
    Setting(String, String),
    Entry(Entry<'a>),
    /// The line, and why it is none of the others.
    Unknown(&'a str, &'static str),
}

/// A line that starts something.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// The line as it stands.
    pub(super) raw: &'a str,
    pub(super) when: When,
    pub(super) user: Option<&'a str>,
    /// The command, `%` and all.
    pub(super) command: String,
}

/// When something starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum When {
    /// With the machine.
    Reboot,
    /// Five fields, or a name that stands for them.
    Times(String),
}

/// Users of a system that run its own work; only they tell a crontab with users from one without.
const SYSTEM_USERS: [&str; 12] =
    ["root", "daemon", "bin", "sys", "nobody", "www-data", "mail", "man", "news", "backup", "postgres", "mysql"];

/// Whether every entry has the name of a system's user before its command.
pub(super) fn names_users(crontab: &str) -> bool {
    let mut any = false;
    for line in crontab.lines() {
        if let Line::Entry(entry) = read(line, false) {
            any = true;
            let first = entry.command.split_whitespace().next().unwrap_or_default();
            if !SYSTEM_USERS.contains(&first) || entry.command.split_whitespace().nth(1).is_none() {
                return false;
            }
        }
    }
    any
}

/// Takes a line apart.
pub(super) fn read(raw: &str, system: bool) -> Line<'_> {
    let line = raw.trim();
    if line.is_empty() {
        return Line::Blank;
    }
    if let Some(comment) = line.strip_prefix('#') {
        return Line::Comment(comment);
    }
    if let Some((name, value)) = setting(line) {
        return Line::Setting(name, value);
    }
    let (when, rest) = match times(line) {
        Ok(found) => found,
        Err(why) => return Line::Unknown(raw, why),
    };
    let (user, command) = if system {
        match word(rest) {
            Some((user, rest)) if !rest.is_empty() => (Some(user), rest),
            _ => return Line::Unknown(raw, "there is no command behind the user"),
        }
    } else {
        (None, rest)
    };
    if command.is_empty() {
        return Line::Unknown(raw, "there is no command");
    }
    Line::Entry(Entry { raw, when, user, command: command.to_owned() })
}

/// The first word, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], text[end..].trim_start()))
}

fn times(line: &str) -> Result<(When, &str), &'static str> {
    if line.starts_with('@') {
        let (name, rest) = word(line).unwrap_or((line, ""));
        let cron = match name.to_ascii_lowercase().as_str() {
            "@reboot" => return Ok((When::Reboot, rest)),
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            "@every_minute" => "* * * * *",
            _ => return Err("not a name of times that is known here"),
        };
        return Ok((When::Times(cron.to_owned()), rest));
    }
    let mut rest = line;
    let mut fields = Vec::with_capacity(5);
    for _ in 0..5 {
        let Some((field, more)) = word(rest) else { return Err("an entry has five fields of times and a command") };
        if !field.starts_with(|c: char| c.is_ascii_digit() || c.is_ascii_alphabetic() || c == '*' || c == '?') {
            return Err("an entry begins with five fields of times");
        }
        fields.push(field);
        rest = more;
    }
    Ok((When::Times(fields.join(" ")), rest))
}

/// `NAME = value`, either perhaps in quotes.
fn setting(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let name = unquoted(name.trim());
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let good = starts && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    good.then(|| (name.to_owned(), unquoted(value.trim()).to_owned()))
}

fn unquoted(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}
