//! Memory, scratch files, stops and long statements.

use super::*;

#[test]
fn what_does_not_fit_into_memory_goes_to_the_disk() {
    let mut world = World::new(300_000);
    world.memory = 32 << 20;
    world.batch = 20_000;
    for (sql, rows) in [
        ("SELECT id, repeat(code, 40) AS t FROM input ORDER BY t DESC, id", 300_000),
        ("SELECT concat(repeat('x', 60), id) AS t, count(*) AS n FROM input GROUP BY t", 300_000),
        (
            "SELECT id, concat(repeat('x', 60), id) AS t, row_number() OVER (PARTITION BY code ORDER BY value, id) AS n FROM input",
            300_000,
        ),
        ("SELECT a.id, b.code FROM input a JOIN input b ON a.id + 1 = b.id ORDER BY b.code, a.id DESC", 299_999),
    ] {
        let (mut spilled, mut got) = (false, 0);
        world
            .run_with(sql, &never(), &mut |_| Ok(()), &mut |batch| {
                let mut folders = std::fs::read_dir(world.folder.path()).unwrap();
                spilled |= folders.any(|f| std::fs::read_dir(f.unwrap().path()).unwrap().count() > 0);
                got += batch.num_rows();
                Ok(())
            })
            .unwrap();
        assert!(spilled, "{sql}");
        assert_eq!(got, rows, "{sql}");
        assert!(world.is_clean());
    }
}

#[test]
fn what_cannot_go_to_the_disk_fails_for_want_of_memory() {
    let mut world = World::new(300_000);
    world.memory = 8 << 20;
    world.batch = 20_000;
    let failure = world.run("SELECT string_agg(repeat('x', id % 100), ',') AS all_of_them FROM input").unwrap_err();
    assert_eq!(failure.code, "sql_memory");
    assert_eq!(
        failure.message,
        "the statement needs more memory than it may use, raise `memory` of the supervisor or hold less with it: 8 MiB"
    );
}

#[test]
fn a_stop_is_heard_at_once() {
    for sql in [
        "SELECT id FROM input",
        "SELECT id FROM input ORDER BY value",
        "SELECT a.id FROM input a, input b",
        "SELECT id, count(*) FROM input GROUP BY id",
    ] {
        let mut world = World::new(i64::MAX);
        world.batch = 1000;
        let started = std::time::Instant::now();
        let after = std::time::Duration::from_millis(300);
        let stopped: Stopped = Arc::new(move || started.elapsed() > after);
        let failure = world.run_with(sql, &stopped, &mut |_| Ok(()), &mut |_| Ok(())).unwrap_err();
        assert_eq!(failure.code, "stopped", "{sql}");
        let took = started.elapsed().saturating_sub(after);
        // Steps that cannot be interrupted, such as a hash table that grows, take long without optimization.
        let most = if cfg!(debug_assertions) { 400 } else { 100 };
        assert!(took.as_millis() < most, "{sql}: {took:?}");
        assert!(world.is_clean(), "{sql}");
    }
}

#[test]
fn a_limit_ends_the_input_early() {
    let mut world = World::new(i64::MAX);
    world.batch = 1000;
    assert_eq!(world.run("SELECT id FROM input WHERE id >= 1500 LIMIT 2").unwrap(), "id\n1500\n1501\n");
}

#[test]
fn the_longest_and_the_deepest_statement_is_run() {
    let world = World::new(2);
    let chain = format!("SELECT id{} AS x FROM input", " + 1".repeat(490));
    check(&world, &chain, "x\n490\n491\n");
    let conditions = (0..240).map(|i| format!("id = {i}")).collect::<Vec<_>>().join(" OR ");
    check(&world, &format!("SELECT id FROM input WHERE {conditions} ORDER BY id"), "id\n0\n1\n");
    let deep = format!("SELECT {}id{} AS x FROM input", "abs(".repeat(48), ")".repeat(48));
    check(&world, &deep, "x\n0\n1\n");
    let nested = (0..20).fold("input".to_owned(), |inner, i| match i {
        0 => "(SELECT id FROM input) t0".to_owned(),
        _ => format!("(SELECT id FROM {inner}) t{i}"),
    });
    check(&world, &format!("SELECT id FROM {nested}"), "id\n0\n1\n");
}
