//! Every kind of broken table: a failure that names the place, bounded memory, and the original intact in `failed/`.

use super::super::support::Site;
use std::io::Write;

const TASK: &str = r#"
[tasks.orders]
watch = { dir = "inbox", match = ["*"], settle = "50ms" }
transform = { output = "out/{stem}.csv", sql = "SELECT id, value FROM input" }
"#;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(plain).unwrap();
    packed.finish().unwrap()
}

#[test]
fn each_broken_table_fails_with_its_place_and_stays_whole() {
    let site = Site::new(TASK);
    let truncated = {
        let mut packed = gzip(super::table(50_000).as_bytes());
        packed.truncate(packed.len() / 2);
        packed
    };
    let wide = format!("{}\n1\n", (0..20_000).map(|n| format!("c{n}")).collect::<Vec<_>>().join(","));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty.csv", Vec::new(), "empty"),
        ("twice.csv", b"id,value,id\n1,2,3\n".to_vec(), "header_duplicate"),
        ("nameless.csv", b"id,,value\n1,2,3\n".to_vec(), "header_empty"),
        ("missing.csv", b"id,valeu\n1,2\n".to_vec(), "sql"),
        ("unclosed.csv", b"id,value\n1,2\n2,\"never\n3,4\n".to_vec(), "bad_row"),
        ("ragged.csv", b"id,value\n1,2\n3\n".to_vec(), "bad_row"),
        ("binary.csv", b"\x7fELF\x02\x01\x01\0\0\0,\n\0\x01".to_vec(), "binary"),
        ("nul.csv", b"id,value\n1,2\n3,\0\n".to_vec(), "bad_row"),
        ("cut.csv.gz", truncated, "truncated"),
        ("nogzip.csv.gz", b"id,value\n1,2\n".to_vec(), "gzip"),
        ("wide.csv", wide.into_bytes(), "too_many_columns"),
    ];
    for (name, content, _) in &cases {
        std::fs::write(site.path("inbox").join(name), content).unwrap();
    }
    site.run("run --until-idle").expect(1);
    for (name, content, code) in &cases {
        let job = site.job(name).unwrap();
        assert_eq!(job["state"], "failed", "{name}: {job:#}");
        let error = &job["error"];
        assert!(error["code"].as_str().unwrap().contains(code), "{name}: {error:#}");
        assert!(error["file"].as_str().is_some_and(|f| f.ends_with(name)), "{name}: {error:#}");
        let kept = std::fs::read(site.path("failed/orders").join(name)).unwrap();
        assert!(kept == *content, "{name} is what it was");
    }
    assert_eq!(site.tree("out"), [""; 0]);
}

#[test]
fn a_header_alone_is_a_table_without_rows() {
    let site = Site::new(TASK);
    std::fs::write(site.path("inbox/none.csv"), "id,value\n").unwrap();
    std::fs::write(site.path("inbox/mixed.csv"), "id,value\r\n1,2\n3,4\r5,\"6\r\n7\"\n").unwrap();
    site.run("run --until-idle").expect(0);
    assert_eq!(std::fs::read_to_string(site.path("out/none.csv")).unwrap(), "id,value\n");
    assert_eq!(std::fs::read_to_string(site.path("out/mixed.csv")).unwrap(), "id,value\n1,2\n3,4\n5,\"6\r\n7\"\n");
}

#[test]
fn a_bomb_and_an_endless_field_end_in_little_memory() {
    let site = Site::new(&TASK.replace("output =", "max_expanded = \"8MiB\", output ="));
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(b"id,value\n").unwrap();
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..64 {
        bomb.write_all(&zeros).unwrap();
        bomb.write_all(b",1\n").unwrap();
    }
    std::fs::write(site.path("inbox/bomb.csv.gz"), bomb.finish().unwrap()).unwrap();
    let mut endless = std::fs::File::create(site.path("inbox/endless.csv")).unwrap();
    endless.write_all(b"id,value\n1,\"").unwrap();
    let letters = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        endless.write_all(&letters).unwrap();
    }
    drop(endless);
    site.run("run --until-idle").expect(1);
    let code = |name: &str| site.job(name).unwrap()["error"].clone();
    assert_eq!(code("bomb.csv.gz")["code"], "expands_too_much");
    let endless = code("endless.csv");
    assert_eq!((endless["line"].as_u64(), endless["column"].as_u64()), (Some(2), Some(2)), "{endless:#}");
}
