//! References to secrets, as they stand in a configuration.

use crate::config::raw;
use crate::model::Secret;
use crate::model::block::{Block, Complaints};
use std::path::Path;

fn read(toml: &str) -> (Option<Secret>, Vec<String>) {
    let sink = Complaints::default();
    let root = raw::read(toml, &sink).unwrap();
    let mut block = Block::open("", &root, Path::new("/base"), &sink);
    let node = block.node("password").unwrap();
    let secret = Secret::read(block.below("password", node));
    drop(block);
    (secret, sink.into_sorted().into_iter().map(|c| c.message).collect())
}

#[test]
fn references_are_read() {
    assert_eq!(read("password = { env = \"P\" }").0, Some(Secret::Env("P".into())));
    assert_eq!(read("password = { file = \"p\" }").0, Some(Secret::File("/base/p".into())));
    assert_eq!(read("password = { command = [\"pass\"] }").0, Some(Secret::Command(vec!["pass".into()])));
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    let (secret, problems) = read("password = \"hunter2\"");
    assert_eq!(secret, None);
    assert_eq!(problems, ["`password` must say where the secret is, not hold it"]);
    assert_eq!(read("password = { env = \"A\", file = \"b\" }").1, ["`password` must name one place"]);
    assert_eq!(read("password = {}").1, ["`password` must name one place"]);
    assert_eq!(read("password = { env = 1 }").1, ["`env` must be a string, not an integer"]);
}

#[test]
fn showing_one_gives_nothing_away() {
    let secret = Secret::Command(vec!["vault".into(), "--token=hunter2".into()]);
    assert_eq!(format!("{secret} {secret:?}"), "the command vault Secret(the command vault)");
}
