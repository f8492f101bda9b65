//! From a statement and its tables to a plan that can be run.

use super::failure;
use super::feed::Input;
use super::names;
use super::reference::Reference;
use super::scope::Known;
use super::statement::Query;
use super::watch::Watch;
use super::{Settings, session, written};
use crate::actions::transform::sql::{SqlError, TABLE};
use crate::model::Failure;
use arrow_schema::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as Planned, TableReference};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use std::sync::Arc;

/// A plan, and where its rows come from.
pub(super) struct Plan {
    pub(super) state: SessionState,
    pub(super) input: Arc<Input>,
    pub(super) root: Arc<dyn ExecutionPlan>,
    /// The columns of the result.
    pub(super) output: SchemaRef,
}

/// Why there is no plan.
pub(super) enum Wrong {
    /// The statement is at fault.
    Statement(SqlError),
    /// A file or the system is.
    Failure(Box<Failure>),
}

impl From<SqlError> for Wrong {
    fn from(error: SqlError) -> Self {
        Self::Statement(error)
    }
}

/// Plans a statement.
pub(super) async fn make(
    query: &Query,
    schema: &SchemaRef,
    settings: &Settings<'_>,
    watch: &Arc<Watch>,
) -> Result<Plan, Wrong> {
    query.check_tables(settings.tables.iter().map(|(name, _)| name.as_str()))?;
    let input = Arc::new(Input::new(schema));
    let wrong = |error| failure::statement(&error, &query.text);
    let state = session::new(&input, settings, watch);
    let state = state.map_err(|error| Wrong::Failure(Box::new(failure::of(&error, settings.memory))))?;

    let mut known = Known::default();
    let mut add = |name: &str, table: Arc<dyn TableProvider>| {
        known.add(name, &table.schema());
        let place = state.schema_for_ref(TableReference::bare(name))?;
        place.register_table(name.to_owned(), table).map(|_| ())
    };
    add(TABLE, Arc::<Input>::clone(&input)).map_err(wrong)?;
    for name in query.tables() {
        if let Some((name, path)) = settings.tables.iter().find(|(known, _)| known == name) {
            let table = Reference::open(path, watch).map_err(|failure| Wrong::Failure(Box::new(failure)))?;
            add(name, Arc::new(table)).map_err(wrong)?;
        }
    }

    let mut plan = logical(&state, names::settle(query, &known, false)?).await.map_err(wrong)?;
    refuse_chance(&plan, query)?;
    if is_by_row(&plan) {
        plan = logical(&state, names::settle(query, &known, true)?).await.map_err(wrong)?;
    }
    let plan = state.optimize(&plan).map_err(wrong)?;
    // Optimizing may have planned a part of it already.
    input.forget();
    let root = state.query_planner().create_physical_plan(&plan, &state).await.map_err(wrong)?;
    let output = Arc::new(written::columns(&root.schema())?);
    Ok(Plan { state, input, root, output })
}

async fn logical(state: &SessionState, tree: Box<ast::Query>) -> Planned<LogicalPlan> {
    let statement = Statement::Statement(Box::new(ast::Statement::Query(tree)));
    state.statement_to_plan(statement).await
}

/// Whether each row of the result stems from one row of a `FROM`, so that it has a place in the order of the input.
fn is_by_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(inner) => is_by_row(&inner.input),
        LogicalPlan::Filter(inner) => is_by_row(&inner.input),
        LogicalPlan::Window(inner) => is_by_row(&inner.input),
        LogicalPlan::Limit(inner) => is_by_row(&inner.input),
        LogicalPlan::SubqueryAlias(_) | LogicalPlan::TableScan(_) | LogicalPlan::Join(_) => true,
        _ => false,
    }
}

/// Refuses functions that give another result each time: the same input must make the same output.
fn refuse_chance(plan: &LogicalPlan, query: &Query) -> Result<(), SqlError> {
    let mut found = None;
    let looked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if expr.is_volatile_node() {
                    found = Some(expr.schema_name().to_string());
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    looked.map_err(|error| failure::statement(&error, &query.text))?;
    match found {
        None => Ok(()),
        Some(name) => Err(SqlError::whole(format!("a function gives another result each time: {name}"))),
    }
}
