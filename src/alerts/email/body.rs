//! The two forms of a mail: plain text, and a table with the colour of the severity. Whatever came from outside is
//! escaped in both.

use crate::clock::rfc3339;
use crate::model::alert::{Message, Severity};
use crate::model::text;

const fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "#c62828",
        Severity::Warning => "#b26a00",
        Severity::Recovered => "#2e7d32",
        Severity::Info => "#1565c0",
    }
}

fn lines(raw: &str) -> String {
    raw.lines().map(text::escape).collect::<Vec<_>>().join("\n")
}

pub(super) fn plain(message: &Message) -> String {
    let mut out = format!("{}: {}\n", message.severity.name().to_uppercase(), text::escape(&message.subject));
    if !message.text.is_empty() {
        out.push_str(&format!("\n{}\n", lines(&message.text)));
    }
    if !message.facts.is_empty() {
        out.push('\n');
        let width = message.facts.iter().map(|f| f.name.chars().count()).max().unwrap_or(0).min(40);
        for fact in &message.facts {
            out.push_str(&format!("{:width$}  {}\n", text::escape(&fact.name), text::escape(&fact.value)));
        }
    }
    for (title, part) in [("Output", &message.log), ("Commands", &message.commands)] {
        if !part.is_empty() {
            out.push_str(&format!("\n{title}:\n"));
            part.iter().for_each(|line| out.push_str(&format!("  {}\n", text::escape(line))));
        }
    }
    out.push_str(&format!("\n-- \nshiftboss on {}, {}\n", text::escape(&message.host), rfc3339(message.at)));
    out
}

/// Text for HTML, with what acts on a reader written out.
fn safe(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in text::escape(raw).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn html(message: &Message) -> String {
    const CELL: &str = "padding:4px 12px 4px 0;vertical-align:top;text-align:left";
    let mut out =
        String::from("<!doctype html><html><body style=\"font-family:sans-serif;font-size:14px;color:#222\">");
    out.push_str(&format!(
        "<table style=\"border-collapse:collapse;border-left:6px solid {0}\"><tr><th colspan=\"2\" style=\"padding:8px 12px;text-align:left;color:#fff;background:{0}\">{1}: {2}</th></tr>",
        colour(message.severity),
        message.severity.name().to_uppercase(),
        safe(&message.subject)
    ));
    for fact in &message.facts {
        out.push_str(&format!(
            "<tr><th style=\"{CELL};padding-left:12px;font-weight:600\">{}</th><td style=\"{CELL}\">{}</td></tr>",
            safe(&fact.name),
            safe(&fact.value)
        ));
    }
    out.push_str("</table>");
    if !message.text.is_empty() && message.html.is_none() {
        let text: Vec<String> = message.text.lines().map(safe).collect();
        out.push_str(&format!("<p>{}</p>", text.join("<br>")));
    }
    out.push_str(message.html.as_deref().unwrap_or_default());
    for (title, part) in [("Output", &message.log), ("Commands", &message.commands)] {
        if !part.is_empty() {
            let part: Vec<String> = part.iter().map(|l| safe(l)).collect();
            out.push_str(&format!(
                "<p><b>{title}</b></p><pre style=\"background:#f4f4f4;padding:8px\">{}</pre>",
                part.join("\n")
            ));
        }
    }
    let (host, at) = (safe(&message.host), rfc3339(message.at));
    out.push_str(&format!("<p style=\"color:#777\">shiftboss on {host}, {at}</p></body></html>"));
    out
}
