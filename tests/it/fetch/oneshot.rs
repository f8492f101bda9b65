//! `shiftboss fetch URL… [-o DIR]`: now, without a configuration.

use super::{most_within, web};
use crate::support::web::plain;
use crate::support::{Site, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn one_url_prints_its_body_and_nothing_else() {
    let (site, web) = (Site::empty(), web());
    let ran = site.run_args(["fetch", &web.url("/x/1")]).expect(0);
    assert_eq!(ran.out, plain("/x/1"));
    let ran = site.run_args(["fetch", &web.url("/big?size=300000")]).expect(0);
    assert_eq!(ran.out.len(), 300_000);
    assert_eq!(site.tree(""), [""; 0], "nothing is left behind");
}

#[test]
fn several_urls_need_a_folder_and_get_a_file_each() {
    let (site, web) = (Site::empty(), web());
    let urls: Vec<String> = (1..=5).map(|n| web.url(&format!("/x/{n}"))).collect();
    let bare = site.run_args(["fetch"].into_iter().chain(urls.iter().map(String::as_str))).expect(2);
    assert!(bare.err.contains("-o"), "{bare:?}");
    assert_eq!(web.requests(), 0, "nothing was sent");
    let args = ["fetch", "-o", "got"].into_iter().chain(urls.iter().map(String::as_str));
    let ran = site.run_args(args).expect(0);
    assert!(!ran.err.is_empty(), "progress is told: {ran:?}");
    let mut bodies: Vec<String> =
        site.tree("").iter().map(|f| std::fs::read_to_string(site.path(f)).unwrap()).collect();
    bodies.sort();
    assert_eq!(bodies, (1..=5).map(|n| plain(&format!("/x/{n}"))).collect::<Vec<_>>());
    assert!(site.tree("").iter().all(|f| f.starts_with("got/")), "{:?}", site.tree(""));
}

#[test]
fn a_template_is_many_urls() {
    let (site, web) = (Site::empty(), web());
    site.run_args(["fetch", "-o", "got", &web.url("/x/{1..20}")]).expect(0);
    assert_eq!((site.tree("got").len(), web.requests()), (20, 20));
}

#[test]
fn one_that_fails_is_named_and_the_others_are_there() {
    let (site, web) = (Site::empty(), web());
    let (good, bad) = (web.url("/good"), web.url("/bad?status=404&text=%1b[31mno&token=hush-hush"));
    let ran = site.run_args(["fetch", &good, &bad, "-o", "got"]).expect(1);
    let told = format!("{}{}", ran.out, ran.err);
    assert!(told.contains("404") && told.contains("/bad"), "{ran:?}");
    assert!(!told.contains("hush-hush") && !told.contains('\x1b'), "{ran:?}");
    assert_eq!(site.tree("").len(), 1);
    let alone = site.run_args(["fetch", &bad]).expect(1);
    assert!(alone.out.is_empty() && alone.err.contains("404"), "an error page is no body: {alone:?}");
    let ran = site.run_args(["fetch", &web.url("/late?status=503&times=1")]).expect(0);
    assert_eq!(ran.out, plain("/late"), "what may pass is tried again");
}

#[test]
fn the_rate_and_the_number_at_once_are_kept_at_the_server() {
    let (site, web) = (Site::empty(), web());
    let args = ["fetch", "-o", "got", "--rate", "10/s", "--concurrency", "1", &web.url("/x/{1..18}")];
    site.run_args(args).expect(0);
    let log = web.log();
    // One more in a window that begins with one, and one that was let go before it.
    assert!(most_within(&log, Duration::from_secs(1)) <= 12, "{}", most_within(&log, Duration::from_secs(1)));
    assert_eq!((log.len(), web.most_at_once()), (18, 1));
    let other = super::web();
    site.run_args(["fetch", "-o", "two", "--concurrency", "7", &other.url("/x/{1..60}?delay=5")]).expect(0);
    assert!(other.most_at_once() <= 7 && site.tree("two").len() == 60);
}

#[test]
fn mistakes_of_the_command_line_are_told_before_anything_is_sent() {
    let (site, web) = (Site::empty(), web());
    let good = web.url("/x");
    for args in [
        &["fetch"][..],
        &["fetch", "ftp://127.0.0.1/x"],
        &["fetch", "no url"],
        &["fetch", "http://anna:hush-hush@127.0.0.1/"],
        &["fetch", &good, "--rate", "fast"],
        &["fetch", &good, "--concurrency", "0"],
        &["fetch", &good, "ftp://127.0.0.1/x", "-o", "got"],
    ] {
        let ran = site.run_args(args).expect(2);
        assert!(ran.out.is_empty() && !ran.err.contains("hush-hush"), "{args:?}: {ran:?}");
    }
    assert_eq!((web.requests(), site.tree("").len()), (0, 0));
}

#[test]
fn an_interrupt_leaves_whole_files_alone() {
    let (site, web) = (Site::empty(), web());
    let urls = [web.url("/good"), web.url("/open?gate=1"), web.url("/drip?size=10000&drip=50")];
    let mut child = site
        .command(["fetch", "-o", "got"].into_iter().chain(urls.iter().map(String::as_str)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let whole = |name: &str| !name.contains(".sb-");
    until("the first file, and the others under way", || {
        (web.requests() == 3 && site.tree("got").iter().any(|f| whole(f))).then_some(())
    });
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let left = site.tree("");
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(std::fs::read_to_string(site.path(&left[0])).unwrap(), plain("/good"));
}
