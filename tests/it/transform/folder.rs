//! The action behind a watched folder.

use super::super::support::Site;
use super::{SQL, processed, table};

fn task(more: &str) -> String {
    format!(
        "[tasks.orders]\nwatch = {{ dir = \"inbox\", match = [\"*.csv\"], settle = \"50ms\" }}\n\
         transform = {{ sql = \"{SQL}\", output = \"out/{{stem}}.csv\"{more} }}\n"
    )
}

#[test]
fn a_landed_table_is_rewritten_and_counted() {
    let site = Site::new(&task(""));
    let _supervisor = site.start();
    site.land("inbox/big.csv", table(100_000));
    let job = site.job_in("big.csv", "succeeded");
    assert_eq!((job["rows"].as_u64(), job["rows_out"].as_u64()), (Some(100_000), Some(100_000)));
    assert!(std::fs::read_to_string(site.path("out/big.csv")).unwrap() == processed(100_000));
    assert_eq!(site.tree("processed"), ["processed/orders/big.csv"]);
    assert!(job["outputs"][0].as_str().unwrap().ends_with("out/big.csv"));
}

#[test]
fn a_bad_row_fails_the_job_at_its_place_and_a_mended_file_goes_through() {
    let site = Site::new(&task(", columns = { value = \"int\" }"));
    let _supervisor = site.start();
    site.land("inbox/a.csv", "id,value\n1,10\n2,many\n");
    let job = site.job_in("a.csv", "failed");
    let error = &job["error"];
    assert_eq!(error["code"], "bad_row");
    assert_eq!((error["line"].as_u64(), error["column_name"].as_str()), (Some(3), Some("value")));
    assert_eq!(error["raw"], "2,many");
    assert_eq!(site.tree("out"), [""; 0], "no output of a job that failed");
    std::fs::write(site.path("failed/orders/a.csv"), "id,value\n1,10\n2,20\n").unwrap();
    let id = job["id"].as_i64().unwrap();
    site.run(&format!("retry {id}")).expect(0);
    site.state_of(id, "succeeded");
    assert_eq!(site.tree("failed"), [""; 0]);
}

#[test]
fn rejected_rows_are_on_the_job_and_beside_the_output() {
    let site = Site::new(&task(", columns = { value = \"int\" }, on_bad_row = \"reject\", max_rejects = \"60%\""));
    let _supervisor = site.start();
    site.land("inbox/a.csv", "id,value\n1,10\n2,many\n3,30\n");
    let job = site.job_in("a.csv", "succeeded");
    assert_eq!((job["rows"].as_u64(), job["rows_out"].as_u64(), job["rejected"].as_u64()), (Some(3), Some(2), Some(1)));
    assert_eq!(site.tree("out"), ["out/a.csv", "out/a.rejects.csv"]);
    let shown = site.run(&format!("show {}", job["id"])).expect(0);
    for told in ["line 3", "many", "value"] {
        assert!(shown.out.contains(told), "{told}: {}", shown.out);
    }
}

#[test]
fn check_names_what_a_statement_needs_and_where() {
    let site = Site::new(
        "[tasks.orders]\nwatch = { dir = \"inbox\", match = [\"*.csv\"] }\n\
         transform = { sql = \"SELECT id, sum(value) AS s FROM input GROUP BY id\", output = \"out/{stem}.csv\" }\n\
         [tasks.other]\nwatch = { dir = \"inbox\", match = [\"*.tsv\"] }\n\
         transform = { sql = \"SELECT id FRM input\", on_bad_row = \"rejct\", max_rejects = \"lots\" }\n",
    );
    let ran = site.run("check").expect(78);
    let grouped: &[_] = if cfg!(feature = "sql") { &[] } else { &["GROUP BY", "config.toml:7:", "--features sql"] };
    for told in grouped.iter().chain(&["sql", "did you mean `reject`", "max_rejects"]) {
        assert!(ran.err.contains(told), "{told}: {}", ran.err);
    }
}

#[test]
fn a_task_by_hand_reads_the_files_that_it_names() {
    let site = Site::new(
        "[tasks.all]\nmanual = true\n\
         transform = { inputs = [\"tables/*.csv\"], output = \"out/all.csv\", sql = \"SELECT _file, id FROM input\" }\n",
    );
    std::fs::create_dir(site.path("tables")).unwrap();
    for (name, id) in [("b.csv", 2), ("a.csv", 1)] {
        std::fs::write(site.path("tables").join(name), format!("id\n{id}\n")).unwrap();
    }
    let _supervisor = site.start();
    let id = site.json("trigger all")["jobs"][0].as_i64().unwrap();
    site.state_of(id, "succeeded");
    let all = std::fs::read_to_string(site.path("out/all.csv")).unwrap();
    assert_eq!(all, "_file,id\na.csv,1\nb.csv,2\n");
    assert_eq!(site.tree("tables"), ["tables/a.csv", "tables/b.csv"], "named files stay where they are");
}
