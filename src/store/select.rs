//! Filters as SQL, and selections: a filter frozen at a revision.

use super::rows::RETRY_SLOT;
use super::txn::Txn;
use crate::model::filter::{Term, Test};
use crate::model::ledger::{Operator, StoreError};
use crate::model::view::{JobsPage, Selection};
use crate::model::{Filter, JobId, JobState, Millis, SelectionId, text};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

/// The last rank of [`JobState::rank`].
pub(super) const RANK_MAX: i64 = 4;

/// A condition on `job j`, with its values.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Condition {
    pub sql: String,
    pub values: Vec<Value>,
}

/// The condition that a filter stands for; `true` for the empty one.
pub(super) fn condition(filter: &Filter, now: Millis) -> Condition {
    let mut out = Condition { sql: "1".into(), values: Vec::new() };
    for Term { negated, test } in &filter.terms {
        let (sql, values) = one(test, now);
        out.sql.push_str(if *negated { " AND NOT (" } else { " AND (" });
        out.sql.push_str(&sql);
        out.sql.push(')');
        out.values.extend(values);
    }
    out
}

fn one(test: &Test, now: Millis) -> (String, Vec<Value>) {
    match test {
        Test::Text(word) => {
            let like = Value::from(format!("%{}%", word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")));
            (
                "CAST(j.input_label AS TEXT) LIKE ? ESCAPE '\\' OR EXISTS (SELECT 1 FROM attempt x WHERE x.job = j.id AND x.n = j.attempt
                   AND CASE WHEN json_valid(x.error) THEN x.error ->> '$.message' END LIKE ? ESCAPE '\\')"
                    .into(),
                vec![like.clone(), like],
            )
        }
        // IS, so that the negation of a task that does not exist matches every job.
        Test::Task(name) => ("j.task IS (SELECT id FROM task WHERE name = ?)".into(), vec![name.clone().into()]),
        // A state has one rank, and the rank is what the indexes know.
        Test::State(state) => ("j.rank = ? AND j.state = ?".into(), vec![state.rank().into(), state.code().into()]),
        Test::Retry => ("j.rank = ? AND j.state = 0 AND j.spent > 0".into(), vec![JobState::Waiting.rank().into()]),
        // Lanes are named by hosts as they stand in URLs: in lower case.
        Test::Host(host) => ("j.lane = ?".into(), vec![host.to_ascii_lowercase().into()]),
        Test::Code(code) => (
            "EXISTS (SELECT 1 FROM attempt x WHERE x.job = j.id AND x.n = j.attempt AND x.code = ?)".into(),
            vec![code.clone().into()],
        ),
        Test::OlderThan(age) => ("j.created_at < ?".into(), vec![now.minus(*age).0.into()]),
    }
}

/// How many jobs match, counted up to [`JobsPage::COUNT_MAX`]. Plain filters are answered from the kept counts.
pub(super) fn matching(conn: &Connection, filter: &Filter, now: Millis) -> rusqlite::Result<(u64, bool)> {
    if let Some(Kept { task, slot }) = kept(filter) {
        let sum: i64 = conn
            .prepare_cached(
                "SELECT coalesce(sum(n), 0) FROM count WHERE slot BETWEEN ?1 AND ?2
                 AND (?3 IS NULL OR task = (SELECT id FROM task WHERE name = ?3))",
            )?
            .query_row((slot.unwrap_or(0), slot.unwrap_or(RETRY_SLOT - 1), task), |r| r.get(0))?;
        return Ok((u64::try_from(sum).unwrap_or(0), false));
    }
    let c = condition(filter, now);
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM job j WHERE {} LIMIT {})", c.sql, JobsPage::COUNT_MAX + 1);
    let n: u64 = conn.prepare_cached(&sql)?.query_row(params_from_iter(c.values), |r| r.get(0))?;
    Ok((n.min(JobsPage::COUNT_MAX), n > JobsPage::COUNT_MAX))
}

/// Kept counts that answer a filter.
#[derive(Debug, PartialEq)]
struct Kept<'a> {
    /// Of one task; none = of all.
    task: Option<&'a str>,
    /// One slot; none = all states.
    slot: Option<i64>,
}

/// The kept counts that answer this filter: at most one task and at most one state, and nothing else.
fn kept(filter: &Filter) -> Option<Kept<'_>> {
    let mut out = Kept { task: None, slot: None };
    for Term { negated, test } in &filter.terms {
        match test {
            Test::Task(name) if !negated && out.task.is_none() => out.task = Some(name),
            Test::State(state) if !negated && out.slot.is_none() => out.slot = Some(state.code()),
            Test::Retry if !negated && out.slot.is_none() => out.slot = Some(RETRY_SLOT),
            _ => return None,
        }
    }
    Some(out)
}

/// The ranks that jobs of a filter can have, so that a page does not look through the others.
pub(super) fn ranks(filter: &Filter) -> Vec<i64> {
    let fits = |rank: &i64| {
        filter.terms.iter().filter(|t| !t.negated).all(|t| match &t.test {
            Test::State(state) => state.rank() == *rank,
            Test::Retry => JobState::Waiting.rank() == *rank,
            _ => true,
        })
    };
    (0..=RANK_MAX).filter(fits).collect()
}

impl Txn<'_> {
    /// Freezes a filter at the present revision.
    pub(super) fn select(&mut self, by: &Operator, filter: &Filter) -> Result<Selection, StoreError> {
        let rev = self.state.rev;
        let spelled = filter.to_string();
        // It is read again for every page, so it must be one that can be read.
        if Filter::parse(&spelled).as_ref() != Ok(filter) {
            return Err(StoreError::Fault(format!("not a filter that can be kept: {spelled}")));
        }
        self.sql("INSERT INTO selection(at, uid, filter, rev) VALUES (?1, ?2, ?3, ?4)")?
            .execute((by.at, by.uid, spelled, rev))?;
        let id = SelectionId(self.last_id());
        let c = condition(filter, by.at);
        let count = {
            let mut count = self.sql(&format!("SELECT count(*) FROM job j WHERE {}", c.sql))?;
            count.query_row(params_from_iter(c.values.iter()), |r| r.get(0))?
        };
        let mut first = self.sql(&format!("SELECT j.input_label FROM job j WHERE {} ORDER BY j.id LIMIT 3", c.sql))?;
        let names = first
            .query_map(params_from_iter(c.values.iter()), |r| r.get::<_, Vec<u8>>(0))?
            .map(|l| l.map(|l| text::bytes(&l)))
            .collect::<rusqlite::Result<_>>()?;
        Ok(Selection { id, count, names, rev })
    }

    /// A page of the jobs that still match a selection and have not changed since it was taken.
    pub(super) fn selected(&self, id: SelectionId, after: JobId, limit: u32) -> Result<Vec<(JobId, i64)>, StoreError> {
        let found = self
            .sql("SELECT filter, rev, at FROM selection WHERE id = ?1")?
            .query_row([id.0], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get::<_, Millis>(2)?)))
            .optional()?;
        let Some((filter, rev, at)) = found else {
            return Err(StoreError::Fault(format!("no such selection: {id}")));
        };
        let filter = Filter::parse(&filter).map_err(|e| StoreError::Fault(e.to_string()))?;
        let c = condition(&filter, at);
        let sql =
            format!("SELECT j.id, j.rev FROM job j WHERE {} AND j.rev <= ? AND j.id > ? ORDER BY j.id LIMIT ?", c.sql);
        let mut values = c.values;
        values.extend([Value::from(rev), Value::from(after.0), Value::from(limit)]);
        let mut select = self.sql(&sql)?;
        let rows = select.query_map(params_from_iter(values), |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_however_it_is_spelled() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE job(id INTEGER PRIMARY KEY, lane TEXT NOT NULL DEFAULT '');
             INSERT INTO job(lane) VALUES ('api.example.com'), ('127.0.0.1:8080'), ('');",
        )
        .unwrap();
        let found = |filter: &str| {
            let c = condition(&Filter::parse(filter).unwrap(), Millis(0));
            let mut select = conn.prepare(&format!("SELECT j.id FROM job j WHERE {}", c.sql)).unwrap();
            let ids = select.query_map(params_from_iter(c.values), |r| r.get::<_, i64>(0)).unwrap();
            ids.collect::<rusqlite::Result<Vec<_>>>().unwrap()
        };
        assert_eq!(found("host:API.Example.com"), [1]);
        assert_eq!(found("host:127.0.0.1:8080"), [2]);
        assert_eq!(found("!host:api.example.com"), [2, 3], "also those that call nobody");
        assert_eq!(found("host:example.com"), [0_i64; 0], "the whole name");
    }
}
