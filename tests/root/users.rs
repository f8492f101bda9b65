//! Other users: what a supervisor may not read, and who may not talk to it.

use crate::support::{GOOD, ORDERS, Ran, Site, Supervisor, until};
use crate::{need, need_root};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The user called nobody.
const NOBODY: u32 = 65534;

/// The program where anybody can run it.
fn program(site: &Site) -> PathBuf {
    let copy = site.path("shiftboss");
    if !copy.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_shiftboss"), &copy).unwrap();
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).unwrap();
    }
    copy
}

fn as_nobody(site: &Site, args: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    let (uid, gid) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
    command.args([&uid, &gid, "--clear-groups"]).arg(program(site)).args(args);
    command.current_dir(site.root()).env("HOME", site.root()).env("TZ", "UTC").stdin(Stdio::null());
    command
}

fn asked(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    std::fs::set_permissions(path.as_ref(), PermissionsExt::from_mode(mode)).unwrap();
}

/// Gives the site to nobody; the configuration stays ours.
fn give(site: &Site) {
    for path in [site.root().to_owned(), site.path("inbox")] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

#[test]
fn a_folder_that_may_not_be_changed_holds_its_jobs_uncharged() {
    need_root();
    need("setpriv");
    let site = Site::new(ORDERS);
    give(&site);
    let _supervisor = Supervisor::start_with(&site, as_nobody(&site, &["run"]));
    site.run("pause").expect(0);
    site.land("inbox/a.csv", GOOD);
    site.job_in("a.csv", "queued");
    set_mode(site.path("inbox"), 0o555);
    site.run("resume").expect(0);
    let held = site.job_in("a.csv", "waiting");
    assert_eq!(held["spent"], 0, "nothing was tried: {held}");
    assert!(held["held"].as_str().is_some_and(|h| h.to_lowercase().contains("permission denied")), "{held}");
    set_mode(site.path("inbox"), 0o755);
    site.run(&format!("retry {}", held["id"])).expect(0);
    assert_eq!(site.job_in("a.csv", "succeeded")["spent"], 1);
}

#[test]
fn a_file_that_may_not_be_read_is_listed_and_waits() {
    need_root();
    need("setpriv");
    let site = Site::new(ORDERS);
    give(&site);
    let supervisor = Supervisor::start_with(&site, as_nobody(&site, &["run"]));
    std::fs::write(site.path("inbox/.secret"), GOOD).unwrap();
    set_mode(site.path("inbox/.secret"), 0o600);
    std::fs::rename(site.path("inbox/.secret"), site.path("inbox/secret.csv")).unwrap();
    let listed = until("the listing", || {
        let status = supervisor.get("/v1/status").json();
        status["listed"]["files"]
            .as_array()?
            .iter()
            .find(|f| f["path"].as_str().unwrap().ends_with("secret.csv"))
            .cloned()
    });
    assert!(listed["reason"].as_str().unwrap().contains("permission denied"), "{listed}");
    assert!(site.path("inbox/secret.csv").exists());
    set_mode(site.path("inbox/secret.csv"), 0o644);
    site.job_in("secret.csv", "succeeded");
}

#[test]
fn only_the_owner_and_the_group_may_talk_to_the_supervisor() {
    need_root();
    need("setpriv");
    let site = Site::new(ORDERS);
    set_mode(site.root(), 0o755);
    let supervisor = site.start();
    let closed = asked(as_nobody(&site, &["status"])).expect(1);
    assert!(closed.err.to_lowercase().contains("permission denied"), "never taken for `not running`: {closed:?}");
    assert_eq!(asked(as_nobody(&site, &["stop"])).code, 1);

    // Every door left open by mistake: then the supervisor itself looks who is there.
    for (path, mode) in [("data", 0o755), ("data/run", 0o755), ("data/run/control.sock", 0o666)] {
        set_mode(site.path(path), mode);
    }
    let refused = asked(as_nobody(&site, &["status"])).expect(1);
    assert!(refused.err.contains("permission denied"), "{refused:?}");
    assert_eq!(site.json("status")["state"], "running");
    drop(supervisor);

    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(NOBODY)).unwrap().expect("the group of nobody");
    site.configure(&format!("[control]\ngroup = \"{}\"\n{ORDERS}", group.name));
    set_mode(site.path("data"), 0o700);
    let supervisor = site.start();
    let admitted = asked(as_nobody(&site, &["status", "--json"])).expect(0);
    assert_eq!(admitted.json()["state"], "running");
    asked(as_nobody(&site, &["pause"])).expect(0);
    let by = site.json("status")["paused"]["by"].as_str().unwrap().to_owned();
    assert_eq!(by, "nobody", "who it was is known from the kernel");
    let peek = Command::new("setpriv")
        .args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups", "cat"])
        .arg(site.path("data/shiftboss.db"))
        .output()
        .unwrap();
    assert!(!peek.status.success(), "the group may talk, not read the files");
    drop(supervisor);
    let stopped = asked(as_nobody(&site, &["status"])).expect(1);
    assert!(stopped.err.contains("run as the supervisor's user"), "{stopped:?}");
}
