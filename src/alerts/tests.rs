//! Which messages come of what is wrong, over time: a small world in which the outbox is a list.

use super::routing::{CHANNEL_FAILED, FLAPPING, Note, Want, Why};
use super::*;
use crate::clock::parse_rfc3339;
use crate::model::alert::channel::{Channel, Held, Quiet, Way};
use crate::model::alert::outbox::{Sample, Source, Standing, Told, Trouble};
use crate::model::alert::{Message, MessageKind, Severity};
use crate::model::{Failure, JobId, Millis};
use globset::Glob;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn channel(name: &str) -> Channel {
    Channel {
        name: name.into(),
        way: Way::Slack(Held::Text("http://127.0.0.1/x".into())),
        on: vec![Severity::Warning, Severity::Error, Severity::Recovered],
        tasks: Vec::new(),
        codes: Vec::new(),
        repeat: 4 * HOUR,
        digest: None,
        quiet: None,
        max_per_hour: 30,
        hash: String::new(),
    }
}

/// A supervisor's memory of alerts, without a store.
struct World {
    channels: Vec<Arc<Channel>>,
    standing: Standing,
    now: Millis,
    keys: BTreeSet<String>,
    again: Option<Millis>,
}

impl World {
    fn new(channels: impl IntoIterator<Item = Channel>) -> Self {
        let now = parse_rfc3339("2026-05-04T12:00:00Z").unwrap();
        let channels = channels.into_iter().map(Arc::new).collect();
        Self { channels, standing: Standing::default(), now, keys: BTreeSet::new(), again: None }
    }

    /// Failures of a cause, which are open then.
    fn fail(&mut self, cause: i64, times: u64) {
        let now = self.now;
        match self.standing.troubles.iter_mut().find(|t| t.id == cause) {
            Some(t) => {
                (t.open, t.total, t.last_at, t.is_open) = (t.open + times, t.total + times, now, true);
            }
            None => self.standing.troubles.push(Trouble {
                source: Source::Cause,
                id: cause,
                born: now,
                task: Some("orders".into()),
                severity: Severity::Error,
                code: format!("code_{cause}"),
                key: String::new(),
                text: "row # is bad".into(),
                last_at: now,
                open: times,
                total: times,
                is_open: true,
            }),
        }
    }

    fn mend(&mut self, cause: i64) {
        let t = self.standing.troubles.iter_mut().find(|t| t.id == cause).unwrap();
        (t.open, t.is_open) = (0, false);
    }

    /// A look, with everything noted that it wants noted.
    fn look(&mut self) -> Vec<Note> {
        let now = self.now;
        self.standing.made.retain(|(_, at)| *at > now.minus(HOUR));
        let routed = route(&self.channels, &self.standing, now);
        for told in routed.told {
            let is_it = |t: &Told| (t.channel.as_str(), t.source, t.id) == (&told.channel, told.source, told.id);
            self.standing.told.retain(|t| !is_it(t));
            self.standing.told.push(told);
        }
        for note in &routed.notes {
            assert!(self.keys.insert(note.key.clone()), "the key of a message comes twice: {}", note.key);
            self.standing.made.push((note.channel.to_string(), self.now));
        }
        self.again = routed.again;
        routed.notes
    }

    /// The kinds of what is told at a look.
    fn kinds(&mut self) -> Vec<MessageKind> {
        self.look().iter().flat_map(|n| n.wants.iter().map(|w| w.kind)).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }
}

#[test]
fn one_cause_is_one_message_however_often_it_fails() {
    let mut world = World::new([channel("ops")]);
    let mut notes = Vec::new();
    for _ in 0..10_000 {
        world.fail(1, 1);
        notes.extend(world.look());
        world.pass(Duration::from_millis(10));
    }
    assert_eq!(notes.len(), 1);
    world.fail(2, 1);
    world.fail(3, 1);
    assert_eq!(world.look().len(), 2, "three causes are three messages");
    assert!(world.look().is_empty(), "a second look finds nothing new");
    world.pass(4 * HOUR);
    world.fail(1, 1);
    let again = world.look();
    assert_eq!((again.len(), again[0].wants[0].kind, again[0].wants[0].news), (1, MessageKind::Again, 10_000));
    world.pass(5 * HOUR);
    assert!(world.look().is_empty(), "nothing new, and nothing to say");
}

#[test]
fn what_is_over_is_told_once_and_what_flaps_waits() {
    let mut world = World::new([channel("ops")]);
    world.fail(1, 3);
    assert_eq!(world.kinds(), [MessageKind::First]);
    world.pass(MINUTE);
    world.mend(1);
    assert_eq!(world.kinds(), [MessageKind::Recovered]);
    assert_eq!(world.kinds(), []);
    // Nine more times within the quarter of an hour: not a word, and then one with the count.
    for _ in 0..9 {
        world.pass(MINUTE);
        world.fail(1, 2);
        assert_eq!(world.kinds(), []);
        world.mend(1);
        assert_eq!(world.kinds(), []);
    }
    world.fail(1, 1);
    assert_eq!(world.kinds(), []);
    let due = world.again.unwrap();
    assert_eq!(due, parse_rfc3339("2026-05-04T12:00:00Z").unwrap().plus(FLAPPING));
    world.now = due;
    let notes = world.look();
    assert_eq!((notes[0].wants[0].kind, notes[0].wants[0].news), (MessageKind::First, 19));
}

#[test]
fn a_crash_between_two_looks_neither_loses_nor_doubles() {
    let mut world = World::new([channel("ops")]);
    world.fail(1, 1);
    // The message was made, and the commit did not happen: the same look makes the same message.
    let lost = route(&world.channels, &world.standing, world.now);
    assert_eq!(lost.notes[0].key, world.look()[0].key);
    assert!(world.look().is_empty());
}

#[test]
fn a_number_that_comes_again_is_another_cause() {
    let mut world = World::new([channel("ops")]);
    world.fail(1, 50);
    world.look();
    world.standing.troubles.clear();
    world.pass(MINUTE);
    world.fail(1, 1);
    assert_eq!(world.kinds(), [MessageKind::First]);
}

#[test]
fn channels_are_told_what_they_asked_for() {
    let glob = |p: &str| Glob::new(p).unwrap().compile_matcher();
    let parts = Channel { tasks: vec![glob("part-*")], ..channel("parts") };
    let code = Channel { codes: vec![glob("code_2")], ..channel("code") };
    let over = Channel { on: vec![Severity::Error], ..channel("over") };
    let mut world = World::new([parts, code, over]);
    world.fail(1, 1);
    world.fail(2, 1);
    let told: Vec<(String, i64)> =
        world.look().iter().map(|n| (n.channel.to_string(), n.wants[0].trouble.id)).collect();
    assert_eq!(told, [("code".to_owned(), 2), ("over".into(), 1), ("over".into(), 2)]);
    world.mend(2);
    let over: Vec<String> = world.look().iter().map(|n| n.channel.to_string()).collect();
    assert_eq!(over, ["code"], "who did not ask is not told that it is over");
}

#[test]
fn a_channel_that_fails_is_told_of_by_the_others() {
    let mut world = World::new([channel("mail"), channel("slack")]);
    world.fail(1, 1);
    let trouble = &mut world.standing.troubles[0];
    (trouble.source, trouble.task, trouble.code, trouble.key) =
        (Source::Notice, None, CHANNEL_FAILED.into(), "mail".into());
    let told: Vec<String> = world.look().iter().map(|n| n.channel.to_string()).collect();
    assert_eq!(told, ["slack"]);
}

#[test]
fn a_digest_waits_and_then_tells_everything_at_once() {
    let mut world = World::new([Channel { digest: Some(15 * MINUTE), ..channel("ops") }]);
    world.fail(1, 1);
    assert!(world.look().is_empty());
    world.pass(5 * MINUTE);
    world.fail(2, 4);
    world.mend(1);
    assert!(world.look().is_empty());
    world.now = world.again.unwrap();
    let notes = world.look();
    let kinds: Vec<MessageKind> = notes[0].wants.iter().map(|w| w.kind).collect();
    assert_eq!((notes.len(), notes[0].why), (1, Some(Why::Digest)));
    assert_eq!(kinds, [MessageKind::Recovered, MessageKind::First], "what came and went is in it too");
    world.pass(HOUR);
    assert!(world.look().is_empty());
    world.mend(2);
    assert!(world.look().is_empty(), "it collects again");
    world.pass(15 * MINUTE);
    assert_eq!(world.kinds(), [MessageKind::Recovered]);
}

#[test]
fn quiet_hours_hold_back_and_end_in_one_message() {
    let quiet = Quiet { from: 22 * 60, until: 6 * 60, zone: chrono_tz::UTC, except: vec![Severity::Warning] };
    let mut world = World::new([Channel { quiet: Some(quiet), ..channel("ops") }]);
    world.now = parse_rfc3339("2026-05-04T23:00:00Z").unwrap();
    world.fail(1, 1);
    assert!(world.look().is_empty());
    world.pass(HOUR);
    world.fail(2, 1);
    world.fail(3, 1);
    world.standing.troubles[2].severity = Severity::Warning;
    assert_eq!(world.look()[0].wants[0].trouble.id, 3, "the exception");
    world.mend(1);
    assert!(world.look().is_empty());
    world.now = parse_rfc3339("2026-05-05T05:59:59Z").unwrap();
    assert!(world.look().is_empty());
    assert_eq!(world.again, parse_rfc3339("2026-05-05T06:00:00Z"));
    world.now = world.again.unwrap();
    let notes = world.look();
    assert_eq!((notes.len(), notes[0].why, notes[0].wants.len()), (1, Some(Why::Quiet), 2));
}

#[test]
fn more_than_an_hour_may_hold_become_one() {
    let mut world = World::new([Channel { max_per_hour: 3, ..channel("ops") }]);
    world.fail(1, 1);
    world.fail(2, 1);
    assert_eq!(world.look().len(), 2);
    for cause in 3..40 {
        world.fail(cause, 1);
    }
    let notes = world.look();
    assert_eq!((notes.len(), notes[0].why, notes[0].wants.len()), (1, Some(Why::Limit), 37));
    world.fail(50, 1);
    world.fail(51, 1);
    assert!(world.look().is_empty(), "the hour is full");
    world.now = world.again.unwrap();
    let rest: Vec<i64> = world.look().iter().flat_map(|n| n.wants.iter().map(|w| w.trouble.id)).collect();
    assert_eq!(rest, [50, 51], "and nothing is lost");
}

#[test]
fn a_clock_that_was_set_back_mutes_nothing_for_ever() {
    let mut world = World::new([channel("ops")]);
    world.fail(1, 1);
    world.look();
    world.mend(1);
    world.look();
    world.now = world.now.minus(1000 * HOUR);
    world.fail(1, 1);
    assert_eq!(world.kinds(), [MessageKind::First]);
    world.fail(1, 1);
    world.pass(5 * HOUR);
    assert_eq!(world.kinds(), [MessageKind::Again]);
}

fn sample() -> Sample {
    let mut failure = Failure::permanent("csv_bad_row", "row 7 is bad: \"<b>&x\u{202e}\"");
    (failure.line, failure.column, failure.column_name) = (Some(7), Some(3), Some("value".into()));
    Sample {
        job: JobId(123),
        input: "inbox/orders-7.csv".into(),
        is_file: true,
        failure: Some(failure),
        log: vec!["a <line>".into()],
    }
}

fn message() -> Message {
    let mut world = World::new([channel("ops")]);
    world.fail(1, 3);
    let note = world.look().remove(0);
    let from = From { host: "box", config: Path::new("/srv/it's/config.toml"), now: world.now };
    compose(&note, &HashMap::from([(1, sample())]), &from)
}

#[test]
fn a_message_says_what_broke_where_and_what_to_type() {
    let message = message();
    assert_eq!(message.subject, "orders: code_1, 3 files failed");
    let fact = |name: &str| message.facts.iter().find(|f| f.name == name).map(|f| f.value.as_str());
    assert_eq!(fact("File"), Some("inbox/orders-7.csv"));
    assert_eq!(fact("Place"), Some("line 7, column 3 (value)"));
    assert_eq!(
        message.commands,
        [
            r"shiftboss -c '/srv/it'\''s/config.toml' show 123",
            r"shiftboss -c '/srv/it'\''s/config.toml' retry --all-failed --task orders"
        ]
    );
    assert_eq!((message.count, message.severity, message.kind), (3, Severity::Error, MessageKind::First));
}

#[test]
fn slack_gets_nothing_that_it_would_act_on() {
    let mut message = message();
    message.subject = "<!channel> & <https://example.com|here>\u{202e}".into();
    message.log = vec!["``` <@U1>".into(); 5000];
    let body = slack::body(&message);
    let text = body.to_string();
    assert!(!text.contains("<!") && !text.contains("<@") && !text.contains("<http") && !text.contains('\u{202e}'));
    assert_eq!(body["attachments"][0]["title"], "&lt;!channel&gt; &amp; &lt;https://example.com|here&gt;\\u{202e}");
    assert_eq!(body["attachments"][0]["color"], "#c62828");
    assert!(body["attachments"][0]["text"].as_str().unwrap().len() < 20_000);
    assert_eq!(body["attachments"][0]["text"].as_str().unwrap().matches("```").count(), 4, "two blocks, closed");
}

#[test]
fn a_signature_is_what_others_compute() {
    // From RFC 4231, test case 2, whose text has a point in the place of ours.
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"Jefe");
    let ours = webhook::signature("Jefe", 17, b"{}");
    let tag: Vec<u8> = (0..ours.len()).step_by(2).map(|i| u8::from_str_radix(&ours[i..i + 2], 16).unwrap()).collect();
    ring::hmac::verify(&key, b"17.{}", &tag).unwrap();
    assert!(ring::hmac::verify(&key, b"18.{}", &tag).is_err());
}

#[test]
fn a_digest_lists_what_it_tells() {
    let mut world = World::new([Channel { max_per_hour: 1, ..channel("ops") }]);
    (1..=70).for_each(|cause| world.fail(cause, 2));
    let note: Note = world.look().remove(0);
    let wants: &[Want] = &note.wants;
    assert_eq!(wants.len(), 70);
    let from = From { host: "box", config: Path::new("/srv/config.toml"), now: world.now };
    let message = compose(&note, &HashMap::new(), &from);
    assert_eq!((message.subject.as_str(), message.count), ("70 things wrong", 70));
    assert_eq!(message.facts[50].value, "20 more");
}
