//! Filters as SQL, and selections: a filter frozen at a revision.

use super::rows::RETRY_SLOT;
use super::writer::Txn;
use crate::model::filter::{Term, Test};
use crate::model::ledger::{Operator, StoreError};
use crate::model::view::{JobsPage, Selection};
use crate::model::{Filter, JobId, Millis, SelectionId, text};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

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
                "CAST(j.input_label AS TEXT) LIKE ? ESCAPE '\\' OR EXISTS (SELECT 1 FROM attempt x WHERE x.job = j.id AND x.n = j.attempt AND x.error LIKE ? ESCAPE '\\')"
                    .into(),
                vec![like.clone(), like],
            )
        }
        Test::Task(name) => ("j.task = (SELECT id FROM task WHERE name = ?)".into(), vec![name.clone().into()]),
        Test::State(state) => ("j.state = ?".into(), vec![state.code().into()]),
        Test::Retry => ("j.state = 0 AND j.spent > 0".into(), vec![]),
        Test::Host(host) => ("j.lane = ?".into(), vec![host.clone().into()]),
        Test::Code(code) => (
            "EXISTS (SELECT 1 FROM attempt x WHERE x.job = j.id AND x.n = j.attempt AND x.code = ?)".into(),
            vec![code.clone().into()],
        ),
        Test::OlderThan(age) => ("j.created_at < ?".into(), vec![now.minus(*age).0.into()]),
    }
}

/// How many jobs match, counted up to [`JobsPage::COUNT_MAX`]. Plain filters are answered from the kept counts.
pub(super) fn matching(conn: &Connection, filter: &Filter, now: Millis) -> rusqlite::Result<(u64, bool)> {
    if let Some(slot) = kept_slot(filter) {
        let sum = match slot {
            None => conn
                .prepare_cached("SELECT coalesce(sum(n), 0) FROM count WHERE slot < ?1")?
                .query_row([RETRY_SLOT], |r| r.get(0)),
            Some(slot) => conn
                .prepare_cached("SELECT coalesce(sum(n), 0) FROM count WHERE slot = ?1")?
                .query_row([slot], |r| r.get(0)),
        }?;
        return Ok((sum, false));
    }
    let c = condition(filter, now);
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM job j WHERE {} LIMIT {})", c.sql, JobsPage::COUNT_MAX + 1);
    let n: u64 = conn.prepare_cached(&sql)?.query_row(params_from_iter(c.values), |r| r.get(0))?;
    Ok((n.min(JobsPage::COUNT_MAX), n > JobsPage::COUNT_MAX))
}

/// The count slot that answers this filter: `Some(None)` for all slots together.
#[expect(clippy::option_option, reason = "no filter, one slot, or neither")]
fn kept_slot(filter: &Filter) -> Option<Option<i64>> {
    match filter.terms.as_slice() {
        [] => Some(None),
        [Term { negated: false, test: Test::State(state) }] => Some(Some(state.code())),
        [Term { negated: false, test: Test::Retry }] => Some(Some(RETRY_SLOT)),
        _ => None,
    }
}

impl Txn<'_> {
    /// Freezes a filter at the present revision.
    pub(super) fn select(&mut self, by: &Operator, filter: &Filter) -> Result<Selection, StoreError> {
        let rev = self.state.rev;
        self.sql("INSERT INTO selection(at, uid, filter, rev) VALUES (?1, ?2, ?3, ?4)")?.execute((
            by.at,
            by.uid,
            filter.to_string(),
            rev,
        ))?;
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
