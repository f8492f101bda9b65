//! What is done to jobs and tasks: whom it is about, and what is asked before.

use super::{App, Marks, REASONS_MAX};
use crate::model::filter::Test;
use crate::model::ports::Target;
use crate::model::{Filter, JobState};
use crate::tui::layers::{Intent, Layer, Prompt, Reason, names};
use crate::tui::msg::{Cmd, Verb};
use crate::tui::panes::queue;
use tui_input::Input;

impl App {
    /// The jobs that an action is about: the marked ones, else the selected one.
    pub(super) fn act(&mut self, verb: Verb) -> Vec<Cmd> {
        let chosen: Vec<_> = match &self.marks {
            Marks::Matching => return self.act_on_matching(verb),
            Marks::Ids(ids) if !ids.is_empty() => ids.iter().map(|(id, name)| (*id, name.clone())).collect(),
            Marks::Ids(_) => self.rows.selected().iter().map(|j| (j.id, queue::name(j))).collect(),
        };
        let count = chosen.len() as u64;
        let (ids, labels): (Vec<_>, Vec<_>) = chosen.into_iter().unzip();
        let target = Target::Jobs(ids);
        let what = match labels.as_slice() {
            [one] => one.clone(),
            _ => format!("{count} marked jobs"),
        };
        let facts = if count == 1 { Vec::new() } else { names(&labels, count) };
        match verb {
            Verb::Skip => self.ask_reason(format!("skip {what}: why?"), facts, Some(target), None),
            Verb::Retry if count == 1 => return vec![Cmd::Act(Verb::Retry, target, None)],
            Verb::Retry | Verb::Cancel => self.layers.push(Layer::Prompt(Prompt {
                title: format!("{} {what}?", verb.order()),
                facts,
                intent: Some(Intent::Act(verb, target)),
                counting: None,
            })),
        }
        Vec::new()
    }

    /// What failed and matches the filter.
    pub(super) fn act_on_matching(&mut self, verb: Verb) -> Vec<Cmd> {
        let mut filter = self.filter.clone();
        // Never wider than what is shown; and without a word about states, only what an operator has to decide.
        if !filter.terms.iter().any(|t| matches!(t.test, Test::State(_) | Test::Retry)) {
            filter = filter.and(Test::State(JobState::Failed));
        }
        self.act_on_all(verb, filter)
    }

    /// Everything that matches a filter: the supervisor counts and freezes it first.
    pub(super) fn act_on_all(&mut self, verb: Verb, filter: Filter) -> Vec<Cmd> {
        self.prompts += 1;
        let number = self.prompts;
        let facts = vec![format!("filter: {filter}")];
        if verb == Verb::Skip {
            self.ask_reason("skip: counting".to_owned(), facts, None, Some(number));
        } else {
            self.layers.push(Layer::Prompt(Prompt {
                title: format!("{}: counting", verb.order()),
                facts,
                intent: None,
                counting: Some((verb, number)),
            }));
        }
        vec![Cmd::Select(number, filter)]
    }

    fn ask_reason(&mut self, title: String, facts: Vec<String>, target: Option<Target>, counting: Option<u64>) {
        let input = Input::default();
        self.layers.push(Layer::Reason(Reason { title, facts, target, counting, input, recalled: None, error: None }));
    }

    pub(super) fn do_it(&mut self, intent: Intent, reason: Option<String>) -> Vec<Cmd> {
        if let Some(reason) = &reason {
            self.reasons.retain(|r| r != reason);
            self.reasons.push_front(reason.clone());
            self.reasons.truncate(REASONS_MAX);
        }
        vec![match intent {
            Intent::Act(verb, target) => Cmd::Act(verb, target, reason),
            Intent::Test(channel) => Cmd::Test(channel),
            Intent::Trigger(task) => Cmd::Trigger(task),
            Intent::PauseAll(pause) => Cmd::Switch { task: None, pause },
        }]
    }

    pub(super) fn pause_task(&mut self) -> Vec<Cmd> {
        let Some(task) = self.task_under_cursor() else { return Vec::new() };
        vec![Cmd::Switch { task: Some(task.name.clone()), pause: task.paused.is_none() }]
    }

    pub(super) fn ask_pause_all(&mut self) {
        let paused = self.status.as_ref().is_some_and(|s| s.paused.is_some());
        let (title, fact) = if paused {
            ("resume everything?", "tasks that were paused one by one stay paused")
        } else {
            ("pause everything?", "running jobs go on, no new ones start, landed files are still queued")
        };
        self.layers.push(Layer::Prompt(Prompt {
            title: title.to_owned(),
            facts: vec![fact.to_owned()],
            intent: Some(Intent::PauseAll(!paused)),
            counting: None,
        }));
    }

    pub(super) fn task_of_interest(&self) -> usize {
        let name = self.task_under_cursor().map(|t| t.name.as_str());
        let tasks = self.status.as_ref().map_or(&[][..], |s| &s.tasks);
        tasks.iter().position(|t| Some(t.name.as_str()) == name).unwrap_or(0)
    }

    pub(super) fn ask_trigger(&mut self, index: usize) {
        let Some(task) = self.status.as_ref().and_then(|s| s.tasks.get(index)) else { return };
        let mut facts = vec![format!("{}, normally started by {} {}", task.action, task.trigger, task.source)];
        if task.paused.is_some() {
            facts.push("it is paused: its job will wait".to_owned());
        }
        self.layers.push(Layer::Prompt(Prompt {
            title: format!("start {} now?", task.name),
            facts,
            intent: Some(Intent::Trigger(task.name.clone())),
            counting: None,
        }));
    }
}
