//! The queue as a few vectors in memory: what the store should remember, without any of its machinery.

use crate::model::{AfterOn, JobState, Outcome, RunState};
use std::collections::BTreeSet;

pub const TASKS: [&str; 6] = ["a", "b", "ok", "bad", "any", "both"];

/// Task, the tasks that it follows, and when.
const FOLLOWERS: [(usize, &[usize], AfterOn); 4] =
    [(2, &[0], AfterOn::AllOk), (3, &[0], AfterOn::Failed), (4, &[0], AfterOn::Any), (5, &[0, 1], AfterOn::AnyOk)];

#[derive(Clone, Debug)]
pub struct Job {
    pub task: usize,
    pub run: usize,
    pub state: JobState,
    pub attempt: i64,
    pub spent: u32,
    pub due: i64,
    pub outcome: Outcome,
    pub cancel: Option<i64>,
    /// Number of the landed file, if it has one.
    pub file: Option<u64>,
    /// Its file was taken from `failed/` at least once.
    pub moved_away: bool,
    pub crashes: u32,
}

#[derive(Clone, Debug)]
pub struct Run {
    pub jobs: Vec<usize>,
    pub upstream: Option<usize>,
    pub state: RunState,
}

#[derive(Debug, Default)]
pub struct Model {
    pub jobs: Vec<Job>,
    pub runs: Vec<Run>,
    fired: BTreeSet<(usize, usize)>,
}

impl Model {
    pub fn add(&mut self, task: usize, files: &[Option<u64>], upstream: Option<usize>) {
        let run = self.runs.len();
        let jobs = files
            .iter()
            .map(|file| {
                self.jobs.push(Job {
                    task,
                    run,
                    state: JobState::Queued,
                    attempt: 0,
                    spent: 0,
                    due: 0,
                    outcome: Outcome::Failed,
                    cancel: None,
                    file: *file,
                    moved_away: false,
                    crashes: 0,
                });
                self.jobs.len() - 1
            })
            .collect();
        self.runs.push(Run { jobs, upstream, state: RunState::Open });
    }

    /// Whether a file that is seen is no news: its job is not over, or has just let go of it.
    pub fn is_live(&self, task: usize, n: u64) -> bool {
        self.jobs.iter().any(|j| {
            j.task == task
                && j.file == Some(n)
                && !j.moved_away
                && matches!(j.state, JobState::Waiting | JobState::Queued | JobState::Running | JobState::Placing)
        })
    }

    /// Whether a decided job has let go of the file but not of its place.
    pub fn is_placing(&self, task: usize, n: u64) -> bool {
        self.jobs.iter().any(|j| j.task == task && j.file == Some(n) && j.state == JobState::Placing)
    }

    pub fn count(&self, task: usize, state: JobState) -> u64 {
        self.jobs.iter().filter(|j| j.task == task && j.state == state).count() as u64
    }

    /// The jobs that a claim gets.
    pub fn claim(&mut self, task: usize, max: u32, limit: u32) -> Vec<usize> {
        let room = u64::from(limit).saturating_sub(self.count(task, JobState::Running)).min(u64::from(max));
        let queued = |j: &usize| self.jobs[*j].task == task && self.jobs[*j].state == JobState::Queued;
        let taken: Vec<usize> = (0..self.jobs.len()).filter(queued).take(room as usize).collect();
        for &job in &taken {
            let job = &mut self.jobs[job];
            job.state = JobState::Running;
            job.attempt += 1;
            job.spent += 1;
        }
        taken
    }

    /// The point of no return: placing, or over where nothing has to move.
    pub fn decide(&mut self, job: usize, outcome: Outcome, charged: bool) -> JobState {
        let j = &mut self.jobs[job];
        if j.state == JobState::Running && !charged {
            j.spent -= 1;
        }
        let again = j.state == JobState::Failed;
        j.outcome = outcome;
        j.state = JobState::Placing;
        if again {
            self.runs[self.jobs[job].run].state = RunState::Open;
        }
        if self.jobs[job].file.is_none() {
            self.finish(job);
        }
        self.jobs[job].state
    }

    pub fn finish(&mut self, job: usize) {
        let j = &mut self.jobs[job];
        j.state = j.outcome.state();
        j.cancel = None;
        let (run, task) = (j.run, j.task);
        let states: Vec<JobState> = self.runs[run].jobs.iter().map(|j| self.jobs[*j].state).collect();
        if states.iter().any(|s| !s.is_settled()) {
            return;
        }
        let all = |wanted| states.iter().all(|s| *s == wanted);
        self.runs[run].state = match () {
            () if all(JobState::Succeeded) => RunState::Succeeded,
            () if all(JobState::Failed) => RunState::Failed,
            () if all(JobState::Skipped) => RunState::Skipped,
            () if all(JobState::Cancelled) => RunState::Cancelled,
            () => RunState::Partial,
        };
        for (follower, upstream, on) in FOLLOWERS {
            let met = match on {
                AfterOn::AllOk => all(JobState::Succeeded),
                AfterOn::AnyOk => states.contains(&JobState::Succeeded),
                AfterOn::Failed => states.contains(&JobState::Failed),
                AfterOn::Any => true,
            };
            if met && upstream.contains(&task) && self.fired.insert((run, follower)) {
                self.add(follower, &[None], Some(run));
            }
        }
    }

    pub fn retry(&mut self, job: usize) -> bool {
        let j = &mut self.jobs[job];
        match j.state {
            JobState::Failed => {
                j.moved_away |= j.file.is_some();
                self.runs[j.run].state = RunState::Open;
            }
            JobState::Waiting => {}
            _ => return false,
        }
        let j = &mut self.jobs[job];
        (j.state, j.spent, j.cancel) = (JobState::Queued, 0, None);
        true
    }
}
