//! Who may talk to the supervisor: its own user, root, and members of the configured group.
//!
//! Whether a user is a member is asked of the system's user database and remembered for a short while, so that a
//! dashboard's polling costs no look-ups, and a changed membership takes effect soon.

use crate::error::{Exit, Fatal};
use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist};
use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer about a user is remembered.
const REMEMBER: Duration = Duration::from_secs(30);
/// Most users remembered; one more makes all of them forgotten.
const REMEMBERED_MAX: usize = 64;

/// The rule by which peers are admitted.
#[derive(Debug)]
pub struct Access {
    /// Users that are always admitted.
    always: Vec<u32>,
    /// The group whose members are admitted.
    group: Option<u32>,
    members: Mutex<HashMap<u32, (bool, Instant)>>,
}

impl Access {
    /// Admits this process's user, root and, if a group is named, its members. An unknown group is an error of the
    /// configuration.
    pub fn new(group: Option<&str>) -> Result<Self, Fatal> {
        let group = group.map(group_id).transpose()?.map(Gid::as_raw);
        Ok(Self { always: vec![geteuid().as_raw(), 0], group, members: Mutex::default() })
    }

    /// Whether a peer with this user and primary group is admitted.
    #[must_use]
    pub fn admits(&self, uid: u32, gid: u32) -> bool {
        self.decide(uid, gid, Instant::now(), groups_of)
    }

    fn decide(&self, uid: u32, gid: u32, now: Instant, groups_of: impl FnOnce(u32) -> Vec<u32>) -> bool {
        if self.always.contains(&uid) {
            return true;
        }
        let Some(group) = self.group else { return false };
        if gid == group {
            return true;
        }
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((is_member, at)) = members.get(&uid)
            && now.duration_since(*at) < REMEMBER
        {
            return *is_member;
        }
        if members.len() >= REMEMBERED_MAX {
            members.clear();
        }
        let is_member = groups_of(uid).contains(&group);
        members.insert(uid, (is_member, now));
        is_member
    }
}

#[cfg(test)]
impl Access {
    /// Admits nobody, not even root.
    pub(super) fn nobody() -> Self {
        Self { always: Vec::new(), group: None, members: Mutex::default() }
    }
}

/// The groups that the user database gives to a user; none when it does not know the user.
fn groups_of(uid: u32) -> Vec<u32> {
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else { return Vec::new() };
    let Ok(name) = CString::new(user.name) else { return Vec::new() };
    getgrouplist(&name, user.gid).unwrap_or_default().into_iter().map(Gid::as_raw).collect()
}

/// The number of a group.
pub(super) fn group_id(name: &str) -> Result<Gid, Fatal> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(Fatal::new(Exit::Config, format!("no such group: {name:?}"))
            .hint("name an existing group as `group` in `[control]`, or leave it out")),
        Err(e) => Err(Fatal::new(Exit::Failed, format!("cannot look up the group {name:?}")).because(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(group: Option<u32>) -> Access {
        Access { always: vec![1000, 0], group, members: Mutex::default() }
    }

    #[test]
    fn the_owner_and_root_are_admitted_and_nobody_else() {
        let nobody_asks = |_| panic!("no group is configured");
        for (uid, expected) in [(1000, true), (0, true), (1001, false), (u32::MAX, false)] {
            assert_eq!(access(None).decide(uid, 1000, Instant::now(), nobody_asks), expected, "uid {uid}");
        }
    }

    #[test]
    fn members_are_admitted_by_primary_and_supplementary_group() {
        let access = access(Some(50));
        let now = Instant::now();
        assert!(access.decide(2000, 50, now, |_| panic!("the primary group decides")));
        assert!(access.decide(2001, 7, now, |_| vec![7, 50]));
        assert!(!access.decide(2002, 7, now, |_| vec![7, 51]));
    }

    #[test]
    fn an_answer_is_remembered_for_a_while() {
        let access = access(Some(50));
        let now = Instant::now();
        assert!(access.decide(2001, 7, now, |_| vec![50]));
        assert!(access.decide(2001, 7, now + REMEMBER / 2, |_| panic!("it is remembered")));
        assert!(!access.decide(2001, 7, now + REMEMBER, |_| vec![]), "and then asked again");
        for uid in 3000..3000 + 2 * REMEMBERED_MAX as u32 {
            access.decide(uid, 7, now, |_| vec![]);
        }
        assert!(access.members.lock().unwrap().len() <= REMEMBERED_MAX);
    }
}
