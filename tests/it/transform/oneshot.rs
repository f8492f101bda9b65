//! `shiftboss transform IN… -o OUT`.

use super::super::support::Site;
use super::{SQL, processed, table};
use std::process::Stdio;

fn read(path: impl AsRef<std::path::Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_table_is_rewritten_in_its_order_whatever_the_number_of_threads() {
    let site = Site::empty();
    std::fs::write(site.path("in.csv"), table(200_000)).unwrap();
    let expected = processed(200_000);
    for threads in ["1", "2", "5"] {
        let ran =
            site.run_args(["transform", "in.csv", "-o", "out.csv", "--force", "--threads", threads, "--sql", SQL]);
        let ran = ran.expect(0);
        assert!(ran.out.contains("200,000 rows in, 200,000 out"), "{ran:?}");
        assert!(read(site.path("out.csv")) == expected, "{threads} threads");
    }
    assert_eq!(site.tree(""), ["in.csv", "out.csv"], "no temporary file is left");
}

#[test]
fn several_files_are_one_table_and_packing_is_told_by_the_name() {
    let site = Site::empty();
    for (name, rows) in [("b.csv", "id,value\n3,30\n"), ("a.csv", "id,value\n1,10\n2,20\n")] {
        std::fs::write(site.path(name), rows).unwrap();
    }
    let sql = "SELECT _file, _line, id, value + 1 AS next FROM input";
    site.run_args(["transform", "b.csv", "a.csv", "-o", "all.ndjson", "--sql", sql]).expect(0);
    assert_eq!(
        read(site.path("all.ndjson")),
        "{\"_file\":\"b.csv\",\"_line\":2,\"id\":3,\"next\":31}\n{\"_file\":\"a.csv\",\"_line\":2,\"id\":1,\"next\":11}\n\
         {\"_file\":\"a.csv\",\"_line\":3,\"id\":2,\"next\":21}\n"
    );
    for packed in ["all.csv.gz", "all.csv.zst", "all.csv.bz2", "all.csv.xz"] {
        site.run_args(["transform", "*.csv", "-o", packed]).expect(0);
        let plain = format!("{packed}.plain.csv");
        site.run_args(["transform", packed, "-o", &plain]).expect(0);
        assert_eq!(read(site.path(&plain)), "id,value\n1,10\n2,20\n3,30\n", "{packed}");
        std::fs::remove_file(site.path(plain)).unwrap();
    }
}

#[test]
fn an_output_that_is_there_is_replaced_only_by_force() {
    let site = Site::empty();
    std::fs::write(site.path("in.csv"), "id\n1\n").unwrap();
    std::fs::write(site.path("out.csv"), "mine").unwrap();
    let refused = site.run("transform in.csv -o out.csv").expect(1);
    assert!(refused.out.contains("out.csv") && refused.out.contains("--force"), "{refused:?}");
    assert_eq!(read(site.path("out.csv")), "mine");
    site.run("transform in.csv -o out.csv --force").expect(0);
    assert_eq!(read(site.path("out.csv")), "id\n1\n");
    assert_eq!(site.tree(""), ["in.csv", "out.csv"]);
}

#[test]
fn mistakes_of_the_command_line_are_told_at_their_place() {
    let site = Site::empty();
    std::fs::write(site.path("in.csv"), "id,value\n1,2\n").unwrap();
    for (args, code, told) in [
        (&["--sql", "SELEC id FROM input"][..], 2, "SELEC"),
        (&["--sql", "SELECT valu FROM input"], 1, "value"),
        #[cfg(not(feature = "sql"))]
        (&["--sql", "SELECT sum(value) FROM input GROUP BY id"], 2, "at `GROUP BY`"),
        #[cfg(not(feature = "sql"))]
        (&["--table", "prices=p.csv"], 2, "--features sql"),
        #[cfg(feature = "sql")]
        (&["--sql", "SELECT * FROM input JOIN price USING (id)", "--table", "prices=p.csv"], 2, "prices"),
        (&["--table", "prices"], 2, "prices=prices.csv"),
        (&["--format", "xml", "--sql", "SELECT id FROM input"], 2, "`format` must be"),
        (&["--column", "id=integr"], 2, "int"),
        (&["--max-rejects", "many"], 2, "1%"),
        (&["--require", "idd"], 1, "id"),
        (&["--expect", "value >"], 2, "expect"),
    ] {
        let args = ["transform", "in.csv", "-o", "out.csv"].iter().chain(args);
        let ran = site.run_args(args).expect(code);
        assert!(format!("{}{}", ran.out, ran.err).contains(told), "{told}: {ran:?}");
        assert_eq!(site.tree(""), ["in.csv"]);
    }
}

#[test]
fn bad_rows_fail_the_work_or_are_set_aside_to_be_mended() {
    let site = Site::empty();
    let text = "id,value\n1,10\n2,many\n3,30\n4\n5,-5\n1,60\n";
    std::fs::write(site.path("in.csv"), text).unwrap();
    let failed = site.run("transform in.csv -o out.csv --column value=int --json").expect(1).json();
    let error = &failed["error"];
    assert_eq!((error["code"].as_str(), error["line"].as_u64()), (Some("bad_row"), Some(3)), "{failed}");
    assert_eq!(error["raw"], "2,many");
    assert_eq!(error["causes"].as_array().unwrap().len(), 2);

    let args = "transform in.csv -o out.csv --column value=int --on-bad-row reject --unique id --json --expect";
    let ran = site.run_args(args.split(' ').chain(["value >= 0"])).expect(0).json();
    assert_eq!((ran["rows"].as_u64(), ran["rows_out"].as_u64(), ran["rejected"].as_u64()), (Some(6), Some(2), Some(4)));
    assert_eq!(read(site.path("out.csv")), "id,value\n1,10\n3,30\n");
    let rejects = read(site.path("out.rejects.csv"));
    let lines: Vec<_> = rejects.lines().collect();
    assert_eq!(lines.len(), 5, "{rejects}");
    assert!(lines[0].starts_with("id,value,"), "{rejects}");
    for (line, told) in lines[1..].iter().zip(["many", "4", "value >= 0", "byte 9"]) {
        assert!(line.contains(told), "{told}: {line}");
    }

    // Mended, they go through the same statement as if they had never been wrong.
    let mended = rejects.replace("2,many,", "2,20,").replace("\n5,-5,", "\n5,5,").replace("\n1,60,", "\n6,60,");
    std::fs::write(site.path("mended.csv"), &mended).unwrap();
    let one_left = site.run("transform mended.csv -o again.csv --column value=int").expect(1);
    assert!(one_left.out.contains("not mended"), "{one_left:?}");
    let mended: String = mended.lines().filter(|l| !l.starts_with(',')).map(|l| format!("{l}\n")).collect();
    std::fs::write(site.path("mended.csv"), mended).unwrap();
    site.run("transform mended.csv -o again.csv --column value=int").expect(0);
    assert_eq!(read(site.path("again.csv")), "id,value\n2,20\n5,5\n6,60\n");

    let over = site.run("transform in.csv -o two.csv --column value=int --on-bad-row reject --max-rejects 1").expect(1);
    assert!(over.out.contains("more than the 1 allowed"), "{over:?}");
    assert!(!site.path("two.csv").exists() && !site.path("two.rejects.csv").exists());
    let share =
        site.run("transform in.csv -o two.csv --column value=int --on-bad-row reject --max-rejects 50%").expect(0);
    assert!(share.out.contains("2 rejected"), "{share:?}");
}

#[test]
fn an_output_is_split_by_a_column() {
    let site = Site::empty();
    std::fs::write(site.path("in.csv"), "id,land\n1,KR\n2,DE\n3,KR\n4,\n5,a/b\n").unwrap();
    site.run("transform in.csv -o out/all.csv --split-by land").expect(0);
    let files = site.tree("out");
    assert_eq!(files.len(), 4, "{files:?}");
    assert_eq!(read(site.path("out/all-KR.csv")), "id,land\n1,KR\n3,KR\n");
    assert_eq!(read(site.path("out/all-DE.csv")), "id,land\n2,DE\n");
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let site = Site::empty();
    std::fs::write(site.path("in.csv"), table(3_000_000)).unwrap();
    let sql = "SELECT id, regexp_replace(CAST(value AS TEXT), '[0-9]', 'x', 'g') AS v FROM input";
    let mut child = site
        .command(["transform", "in.csv", "-o", "out.csv", "--sql", sql])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    super::super::support::until("the output to begin", || (site.tree("").len() > 1).then_some(()));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ended = child.wait().unwrap();
    assert_eq!(ended.code(), Some(1));
    assert_eq!(site.tree(""), ["in.csv"]);
}
