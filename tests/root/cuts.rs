//! The program cut off anywhere: killed before its Nth durable step, refused by the kernel, without power.

use crate::mounts;
use crate::support::{BAD, GOOD, ORDERS, Ran, Site, until};
use crate::{need, need_root};
use std::collections::BTreeSet;
use std::process::Command;

/// Steps that change what is on the disk.
const STEPS: &str = "rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync,pwrite64,mkdirat,rmdir";
/// Points at which the program is killed.
const POINTS: u32 = 40;

/// Runs the program to idleness under strace with an injection.
fn under_strace(site: &Site, inject: &str) -> Ran {
    let calls = inject.split(':').next().unwrap_or_default();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &format!("inject={inject}")]);
    command.arg(env!("CARGO_BIN_EXE_shiftboss")).args(["run", "--until-idle", "--wait", "0s"]);
    let output = command.current_dir(site.root()).env("HOME", site.root()).env("TZ", "UTC").output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn feed(site: &Site) {
    for (name, content) in [("a.csv", GOOD), ("b.csv", BAD), ("c.csv", GOOD)] {
        std::fs::write(site.path("inbox").join(name), content).unwrap();
    }
}

/// Lets a clean start finish what was left, and checks that everything is in its one place.
fn check(site: &Site, what: &str) {
    // What waits for a disk that is well again need not wait for its time.
    for job in site.jobs().iter().filter(|j| j["state"] == "waiting") {
        site.run(&format!("retry {}", job["id"])).expect(0);
    }
    let end = site.run("run --until-idle --json");
    assert!([0, 1].contains(&end.code), "{what}: {end:?}");
    assert_eq!(site.tree("inbox"), [""; 0], "{what}");
    assert_eq!(site.tree("processed"), ["processed/orders/a.csv", "processed/orders/c.csv"], "{what}");
    assert_eq!(site.tree("failed"), ["failed/orders/b.csv", "failed/orders/b.csv.error.json"], "{what}");
    let outputs = ["out/a.csv.json", "out/a.csv.normalised.csv", "out/c.csv.json", "out/c.csv.normalised.csv"];
    assert_eq!(site.tree("out"), outputs, "{what}: each output once, nothing temporary");
    let work = site.path("inbox/.shiftboss/work");
    let left = std::fs::read_dir(&work).map_or(0, Iterator::count);
    assert_eq!(left, 0, "{what}: {work:?}");
    let states: Vec<_> = site.jobs().iter().map(|j| j["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["failed", "succeeded", "succeeded"], "{what}");
}

fn one_worker() -> Site {
    let site = Site::new(ORDERS);
    let text = std::fs::read_to_string(site.path("config.toml")).unwrap().replace("workers = 2", "workers = 1");
    std::fs::write(site.path("config.toml"), text).unwrap();
    site
}

#[test]
fn killed_before_any_step_it_loses_nothing_and_repeats_nothing() {
    need_root();
    need("strace");
    let mut killed = 0;
    for point in 1..=POINTS {
        let site = one_worker();
        feed(&site);
        // Calls are counted for each thread: with rising numbers the busiest threads are cut ever later.
        let run = under_strace(&site, &format!("{STEPS}:signal=KILL:when={point}"));
        killed += u32::from(run.code == -1 || run.code > 128);
        check(&site, &format!("killed before step {point}"));
    }
    assert!(killed > POINTS / 4, "only {killed} of {POINTS} runs were killed: the list of steps is out of date");
}

#[test]
fn a_step_that_the_kernel_refuses_once_is_done_later() {
    need_root();
    need("strace");
    for inject in [
        "fsync,fdatasync:error=EIO:when=3..4",
        "fsync,fdatasync:error=ENOSPC:when=2",
        "renameat2:error=EIO:when=2",
        "renameat2:error=ENOSPC:when=1",
        "openat:error=EMFILE:when=80..90",
        "pwrite64:error=ENOSPC:when=12..16",
    ] {
        let site = one_worker();
        feed(&site);
        under_strace(&site, inject);
        // The file may rightly have used up its tries on a broken disk: the operator's retry is part of the recipe.
        for job in site.jobs().iter().filter(|j| j["state"] == "failed" && j["error"]["code"] != "csv_bad_row") {
            site.run(&format!("retry {}", job["id"])).expect(0);
        }
        check(&site, inject);
    }
}

/// Drops everything that was not synced, as a power cut does: ext4's own shutdown, without writing its journal.
fn cut_power(at: &std::path::Path) {
    need("python3");
    let ioctl = "import fcntl, os, struct, sys; \
                 fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
    let done = Command::new("python3").args(["-c", ioctl]).arg(at).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    need_root();
    for tool in ["mkfs.ext4", "umount"] {
        need(tool);
    }
    for round in 0..3 {
        let ground = tempfile::tempdir().unwrap();
        let image = ground.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(192 * 1024 * 1024).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).status().unwrap();
        assert!(made.success());
        let site = Site::new(ORDERS);
        let disk = site.path("disk");
        let Some(mount) = mounts::image(&image, &disk) else { return };
        let text = std::fs::read_to_string(site.path("config.toml")).unwrap();
        std::fs::write(disk.join("config.toml"), text).unwrap();
        std::fs::create_dir(disk.join("inbox")).unwrap();
        for n in 0..150 {
            std::fs::write(disk.join(format!("inbox/{n:03}.csv")), if n % 10 == 3 { BAD } else { GOOD }).unwrap();
        }
        // The writer of the files did its part: they are on the disk.
        assert!(Command::new("sync").status().unwrap().success());
        let mut command = site.command(["run"]);
        command.current_dir(&disk);
        let mut supervisor = crate::support::Supervisor::begin(&site, command);
        let ask = |line: &str| {
            let output = site.command(line.split(' ')).current_dir(&disk).output().unwrap();
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_default()
        };
        let over = |jobs: &serde_json::Value| -> BTreeSet<(String, String)> {
            let list = jobs.as_array().cloned().unwrap_or_default();
            let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
            let over = list.into_iter().filter(|j| j["state"] == "succeeded" || j["state"] == "failed");
            over.map(|j| (text(&j["input"]), text(&j["state"]))).collect()
        };
        let acknowledged = until("some work to be done", || {
            let over = over(&ask("jobs --json"));
            (over.len() > 5 + 40 * round).then_some(over)
        });
        cut_power(&disk);
        supervisor.signal(nix::sys::signal::Signal::SIGKILL);
        supervisor.end();
        drop(supervisor);
        drop(mount);

        let again = until("the disk again", || mounts::image(&image, &disk));
        let known = over(&ask("jobs --json"));
        let lost: Vec<_> = acknowledged.difference(&known).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and forgotten: {lost:?}");
        let name = |input: &str| std::path::Path::new(input).file_name().unwrap().to_str().unwrap().to_owned();
        for (input, state) in &acknowledged {
            let folder = if state == "failed" { "failed" } else { "processed" };
            let place = disk.join(folder).join("orders").join(name(input));
            let content = std::fs::read_to_string(&place).unwrap_or_else(|e| panic!("round {round}: {place:?}: {e}"));
            assert_eq!(content, if state == "failed" { BAD } else { GOOD });
            let output = disk.join("out").join(format!("{}.json", name(input)));
            let sidecar =
                std::fs::read(&output).ok().and_then(|o| serde_json::from_slice::<serde_json::Value>(&o).ok());
            assert_eq!(sidecar.is_some(), state == "succeeded", "round {round}: {output:?}");
        }
        let end = site.command(["run", "--until-idle"]).current_dir(&disk).output().unwrap();
        assert!(end.status.code().is_some_and(|c| c <= 1), "{end:?}");
        assert_eq!(over(&ask("jobs --json")).len(), 150);
        let count = |below: &str| std::fs::read_dir(disk.join(below)).unwrap().count();
        assert_eq!((count("processed/orders"), count("failed/orders"), count("out")), (135, 30, 270), "each once");
        drop(again);
    }
}
