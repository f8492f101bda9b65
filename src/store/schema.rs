//! The schema as an append-only list of steps. A released step is never edited: a database of every earlier version
//! is brought forward by the steps it has not seen, each in one transaction.

/// Marks a file as ours in its header.
pub const APPLICATION_ID: i32 = 0x5348_4242;

/// Version that this program writes: the number of steps.
pub const SCHEMA: i64 = STEPS.len() as i64;

/// The steps, oldest first.
pub const STEPS: &[&str] = &[V1, V2, V3, V4];

/// Times are milliseconds UTC; states are the numbers of `model::state`; paths and names are bytes.
/// `job_file.dir`: 0 in, 1 out, 2 processed, 3 failed, 4 error record. Of an input, `ord` 0 is where the file is taken
/// from, and 1 where it landed, once a retry takes it from somewhere else. `job.keeps_file`: its original was put into
/// `failed/` for an operator, so that the row is not deleted.
const V1: &str = r"
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES ('rev', 0), ('clean', 1);

CREATE TABLE node(id INTEGER PRIMARY KEY, name TEXT NOT NULL, boot TEXT NOT NULL, started_at INTEGER NOT NULL, lease_until INTEGER);

CREATE TABLE task(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, action TEXT NOT NULL, config_hash TEXT NOT NULL,
  max_attempts INTEGER NOT NULL, position INTEGER NOT NULL, paused_by INTEGER, paused_at INTEGER, removed INTEGER NOT NULL DEFAULT 0);

CREATE TABLE lane(task INTEGER NOT NULL, key TEXT NOT NULL DEFAULT '', running INTEGER NOT NULL DEFAULT 0, max INTEGER,
  blocked_until INTEGER, why TEXT, PRIMARY KEY(task, key)) WITHOUT ROWID;

-- slot 0..7: the job states; 8: of the waiting ones, those that wait after a failed attempt
CREATE TABLE count(task INTEGER NOT NULL, slot INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(task, slot)) WITHOUT ROWID;

CREATE TABLE schedule(task INTEGER PRIMARY KEY, anchor INTEGER, last_planned INTEGER, next_at INTEGER, deadline_at INTEGER);

CREATE TABLE run(id INTEGER PRIMARY KEY AUTOINCREMENT, task INTEGER NOT NULL, slot TEXT, upstream INTEGER, trigger TEXT NOT NULL,
  state INTEGER NOT NULL, reason TEXT, planned_at INTEGER NOT NULL, started_at INTEGER, settled_at INTEGER, expand_cursor BLOB,
  total INTEGER NOT NULL, open INTEGER NOT NULL, ok INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX run_slot ON run(task, slot) WHERE slot IS NOT NULL;
CREATE UNIQUE INDEX run_upstream ON run(upstream, task) WHERE upstream IS NOT NULL;

CREATE TABLE job(id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, ordinal INTEGER NOT NULL, task INTEGER NOT NULL,
  lane TEXT NOT NULL DEFAULT '', priority INTEGER NOT NULL, state INTEGER NOT NULL, rank INTEGER NOT NULL, not_before INTEGER,
  attempt INTEGER NOT NULL DEFAULT 0, spent INTEGER NOT NULL DEFAULT 0, max_spent INTEGER NOT NULL, outcome INTEGER,
  cancel_action INTEGER, owner INTEGER, pin INTEGER, input_label BLOB NOT NULL, cause INTEGER, held TEXT, reason TEXT,
  maybe_repeated INTEGER NOT NULL DEFAULT 0, keeps_file INTEGER NOT NULL DEFAULT 0, rev INTEGER NOT NULL, created_at INTEGER NOT NULL, started_at INTEGER,
  finished_at INTEGER, rows INTEGER, bytes_in INTEGER, bytes_out INTEGER);
CREATE UNIQUE INDEX job_run ON job(run, ordinal);
CREATE INDEX job_claim ON job(task, priority DESC, id) WHERE state = 1;
CREATE INDEX job_due ON job(task, not_before) WHERE state = 0;
CREATE INDEX job_page ON job(rank, id);
CREATE INDEX job_task ON job(task, rank, id);
CREATE INDEX job_rev ON job(rev);
CREATE INDEX job_old ON job(state, finished_at) WHERE finished_at IS NOT NULL AND keeps_file = 0;

CREATE TABLE attempt(job INTEGER NOT NULL, n INTEGER NOT NULL, node INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER,
  outcome TEXT, class INTEGER, code TEXT, charged INTEGER NOT NULL DEFAULT 1, exit INTEGER, error TEXT, config_hash TEXT NOT NULL,
  work BLOB NOT NULL, target_dirs TEXT NOT NULL, log_head TEXT, log_ref BLOB, PRIMARY KEY(job, n)) WITHOUT ROWID;

CREATE TABLE job_file(job INTEGER NOT NULL, dir INTEGER NOT NULL, ord INTEGER NOT NULL, root BLOB NOT NULL, path BLOB NOT NULL,
  name BLOB NOT NULL, live INTEGER NOT NULL, dev INTEGER, ino INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  hash BLOB, at INTEGER NOT NULL, PRIMARY KEY(job, dir, ord)) WITHOUT ROWID;
CREATE UNIQUE INDEX job_file_live ON job_file(root, path, ino) WHERE live = 1 AND dir = 0;
CREATE INDEX job_file_hash ON job_file(hash) WHERE hash IS NOT NULL;
CREATE INDEX job_file_path ON job_file(path, root);

CREATE TABLE move(job INTEGER NOT NULL, attempt INTEGER NOT NULL, seq INTEGER NOT NULL, src BLOB NOT NULL, dst BLOB NOT NULL,
  dev INTEGER, ino INTEGER NOT NULL, kind INTEGER NOT NULL, PRIMARY KEY(job, seq)) WITHOUT ROWID;

CREATE TABLE cause(id INTEGER PRIMARY KEY, task INTEGER NOT NULL, class INTEGER NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL,
  first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, open INTEGER NOT NULL, total INTEGER NOT NULL, muted_until INTEGER);
CREATE UNIQUE INDEX cause_key ON cause(task, class, code, text);

CREATE TABLE checkpoint(job INTEGER PRIMARY KEY, seq INTEGER NOT NULL, state BLOB NOT NULL);
CREATE TABLE outbox(id INTEGER PRIMARY KEY, channel TEXT NOT NULL, key TEXT NOT NULL UNIQUE, body TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER, state INTEGER NOT NULL DEFAULT 0);

CREATE TABLE action(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, uid INTEGER NOT NULL, kind TEXT NOT NULL, filter TEXT,
  as_of_rev INTEGER, reason TEXT, done INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0, cursor INTEGER, state INTEGER NOT NULL DEFAULT 0);
CREATE TABLE action_job(job INTEGER NOT NULL, action INTEGER NOT NULL, PRIMARY KEY(job, action)) WITHOUT ROWID;
CREATE INDEX action_job_action ON action_job(action);
CREATE TABLE selection(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, uid INTEGER NOT NULL, filter TEXT NOT NULL, rev INTEGER NOT NULL);
";

/// What is set aside of an input is told; a job cut off may go on where its outputs were known to be on the disk.
/// `checkpoint.files`: JSON, the outputs in the order they were opened. Nothing was ever in the table of step 1.
const V2: &str = r"
ALTER TABLE job ADD COLUMN rows_out INTEGER;
ALTER TABLE job ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN rejects TEXT;

DROP TABLE checkpoint;
CREATE TABLE checkpoint(job INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, config_hash TEXT NOT NULL, ino INTEGER, size INTEGER,
  mtime_ns INTEGER, files TEXT NOT NULL, state BLOB NOT NULL, at INTEGER NOT NULL);
";

/// A run may be planned into many jobs, each in the lane of its host. `job.kind`: the numbers of `JobKind`.
/// `attempt.call`: JSON, what its calls came to. A row of `lane` with the task 0 is a host that is closed for all tasks.
const V3: &str = r"
ALTER TABLE job ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN call TEXT;
DROP INDEX job_claim;
CREATE INDEX job_claim ON job(task, lane, priority DESC, id) WHERE state = 1;
";

/// Schedules, and what is told to people outside. `schedule.spec`: hash of the times it was planned by; `start_due` and
/// `success_due`: when its silence becomes a notice. `notice`: what is wrong beside failed jobs; its task is 0 for the
/// supervisor itself. `alert`: what a channel was told of a cause (source 0) or a notice (source 1); `born` is the
/// `first_at` of that row, because numbers of causes come again. `job.again`: the cause of a failed job that an operator
/// put back, until it is decided again. `outbox.state`: 0 waiting, 1 sent, 2 given up. Nothing was ever in the tables of
/// step 1 that are made anew here.
const V4: &str = r"
DROP TABLE schedule;
CREATE TABLE schedule(task INTEGER PRIMARY KEY, spec TEXT NOT NULL, anchor INTEGER NOT NULL, last_planned INTEGER, next_at INTEGER,
  start_due INTEGER, success_due INTEGER, last_success INTEGER);
CREATE INDEX run_task ON run(task, id);
CREATE INDEX run_turn ON run(task, planned_at) WHERE state = 0;
CREATE INDEX run_work ON run(task) WHERE state IN (1, 2);
CREATE INDEX run_record ON run(settled_at) WHERE total = 0 AND state IN (6, 7);

CREATE TABLE notice(id INTEGER PRIMARY KEY AUTOINCREMENT, task INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, level INTEGER NOT NULL,
  text TEXT NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, open INTEGER NOT NULL, total INTEGER NOT NULL);
CREATE UNIQUE INDEX notice_key ON notice(task, kind, key);

-- source 2: the channel itself, which collects since a time
CREATE TABLE alert(channel TEXT NOT NULL, source INTEGER NOT NULL, id INTEGER NOT NULL, born INTEGER NOT NULL, state INTEGER NOT NULL,
  episode INTEGER NOT NULL, seq INTEGER NOT NULL, since INTEGER NOT NULL, first_at INTEGER, told_at INTEGER, told_total INTEGER NOT NULL,
  over_total INTEGER NOT NULL, PRIMARY KEY(channel, source, id)) WITHOUT ROWID;
CREATE INDEX cause_open ON cause(last_at) WHERE open > 0;
ALTER TABLE job ADD COLUMN again INTEGER;
CREATE INDEX job_cause ON job(cause, keeps_file, id) WHERE cause IS NOT NULL;
CREATE INDEX job_again ON job(again) WHERE again IS NOT NULL;

DROP TABLE outbox;
CREATE TABLE outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, key TEXT NOT NULL UNIQUE, severity INTEGER NOT NULL,
  subject TEXT NOT NULL, body TEXT NOT NULL, created_at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, next_at INTEGER,
  state INTEGER NOT NULL DEFAULT 0, done_at INTEGER, error TEXT);
CREATE INDEX outbox_made ON outbox(channel, created_at);
CREATE INDEX outbox_due ON outbox(state, channel, next_at);
";
