//! The supervisor dies at each point of a backup where a copy appears or goes.

use super::{back_up, furnish, is_whole, made, newest_whole, task};
use crate::proof::World;

const ARCHIVE: &str = "keep = { min = 1 }";
const TREE: &str = "form = \"tree\", keep = { min = 1 }";

fn names(world: &World) -> Vec<String> {
    let names = std::fs::read_dir(world.path("backup")).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<_> = names.map(|n| n.into_string().unwrap()).collect();
    names.sort();
    names
}

/// A world with two copies, of which the next run deletes one.
fn world(form: &str) -> World {
    let world = World::new(&task(form));
    furnish(&world, 1);
    back_up(&world);
    back_up(&world);
    world
}

#[test]
fn a_copy_that_goes_never_looks_whole_again() {
    for (form, point) in [(ARCHIVE, "backup.archive_deleted"), (TREE, "backup.tree_unnamed")] {
        let world = world(form);
        let before = newest_whole(&world).unwrap();
        world.line("trigger nightly").expect(0);
        assert!(world.armed(point, "run --until-idle").is_killed(), "{point}");
        let left = made(&world);
        assert_eq!(
            left,
            std::slice::from_ref(&before),
            "{point}: the old one is gone, the newest one is there: {:?}",
            names(&world)
        );
        assert!(is_whole(&world, &before.path), "{point}");
        world.settle();
        back_up(&world);
        back_up(&world);
        let left = names(&world);
        let copies = if form == ARCHIVE { 4 } else { 2 };
        assert_eq!(left.len(), copies, "{point}: what was left of it goes too: {left:?}");
    }
}

#[test]
fn a_tree_appears_once_and_whole() {
    for point in super::POINTS[..2].iter() {
        let world = World::new(&task("form = \"tree\""));
        furnish(&world, 1);
        world.line("trigger nightly").expect(0);
        assert!(world.armed(point, "run --until-idle").is_killed(), "{point}");
        let is_named = *point == "backup.tree_named";
        assert_eq!(made(&world).len(), usize::from(is_named), "{point}: {:?}", names(&world));
        world.settle();
        let left = names(&world);
        assert_eq!(left.len(), 1, "{point}: {left:?}");
        assert!(newest_whole(&world).is_some(), "{point}");
        assert_eq!(world.number("SELECT count(*) FROM job WHERE state = 4"), 1, "{point}: the run has succeeded");
    }
}
