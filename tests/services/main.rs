//! Tests against services that nobody here wrote, installed for the purpose. They are no part of `cargo test`; `.ci/run`
//! installs what they need and runs them with `cargo test --test services`. A service that is missing is a failure.
//!
//! httpbin, the public HTTP test service from PyPI: `SHIFTBOSS_HTTPBIN_PYTHON` names the Python of a venv that has
//! `httpbin` and `gunicorn`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]
#![allow(clippy::disallowed_methods, reason = "tests do what operators and other programs do")]

mod httpbin;
#[path = "../it/support/mod.rs"]
#[allow(unused_imports, reason = "these tests open no terminal")]
mod support;
