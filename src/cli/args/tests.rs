//! What is accepted, and what is a usage error.

use super::*;
use clap::CommandFactory;

fn args(line: &str) -> Result<Args, clap::Error> {
    Args::try_parse_from(std::iter::once("shiftboss").chain(line.split_whitespace()))
}

#[test]
fn the_definition_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn the_contract_is_accepted() {
    for line in [
        "",
        "attach",
        "attach --socket /run/x.sock --read-only",
        "demo",
        "demo --headless --for 20s",
        "init",
        "init dir",
        "check -c other.toml",
        "run",
        "run --until-idle --json",
        "run --until-idle --wait 5m",
        "run --background",
        "status --json",
        "--json status",
        "jobs --state failed --state retry --task a --search x --limit 5",
        "show 5",
        "show #5",
        "why 5",
        "why orders",
        "file a.csv",
        "logs",
        "logs 5 -f",
        "logs --task a -f --level warn --search x",
        "retry 5 6",
        "retry --all-failed --task a --search x",
        "skip 5 --reason because",
        "skip --all-failed --task a --reason because",
        "cancel 5 6",
        "trigger a",
        "trigger a --input b.csv",
        "pause",
        "pause a",
        "resume",
        "reload",
        "restart",
        "stop",
        "stop --now",
        "doctor",
        "completions bash",
        "man",
        "-v -v --color never status",
    ] {
        args(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
}

#[test]
fn mistakes_are_usage_errors() {
    for line in [
        "jobs --state faild",
        "jobs --limit 0",
        "jobs --limit many",
        "show",
        "show five",
        "show 0",
        "show -- -5",
        "retry",
        "retry 5 --all-failed",
        "retry 5 --task a",
        "retry --search x",
        "skip 5",
        "skip --all-failed",
        "skip 5 --all-failed --reason x",
        "cancel",
        "cancel --all-failed",
        "trigger",
        "logs 5 --task a",
        "logs --level loud",
        "run --wait 5m",
        "run --until-idle --wait soon",
        "run --background --until-idle",
        "completions tcl",
        "nonsense",
        "--color sometimes",
        "stop now",
    ] {
        let error = args(line).expect_err(line);
        assert_eq!(error.exit_code(), Exit::Usage as i32, "{line}");
    }
    assert_eq!(args("--help").unwrap_err().exit_code(), 0);
    assert_eq!(args("--version").unwrap_err().exit_code(), 0);
}

#[test]
fn states_are_read() {
    let Some(Command::Ask(Ask::Jobs(jobs))) = args("jobs --state placing --state retry").unwrap().command else {
        panic!("not jobs");
    };
    assert_eq!(jobs.states, [StateArg::State(JobState::Placing), StateArg::Retry]);
}

#[test]
fn every_command_says_what_it_does() {
    for command in Args::command().get_subcommands() {
        let about = command.get_about().unwrap_or_else(|| panic!("{}", command.get_name())).to_string();
        assert!(!about.ends_with('.') && about.len() < 90, "{about}");
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
        }
    }
}
