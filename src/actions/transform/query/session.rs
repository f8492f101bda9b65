//! `DataFusion` as we use it: one partition, one memory, one folder, one time.

use super::Settings;
use super::checked::CheckArithmetic;
use super::failure::Carried;
use super::feed::Input;
use super::lazy::KeepOrder;
use super::rules;
use super::scratch::Scratch;
use super::sum;
use super::watch::{Watch, Watched};
use datafusion::common::Result as Planned;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::TaskContext;
use datafusion::execution::context::{ExecutionProps, SessionConfig};
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use std::sync::Arc;

/// A session over the table `input`.
pub(super) fn new(input: &Arc<Input>, settings: &Settings<'_>, watch: &Arc<Watch>) -> Planned<SessionState> {
    let memory = usize::try_from(settings.memory).unwrap_or(usize::MAX);
    let scratch = Scratch::new(settings.scratch, Arc::clone(watch)).map_err(Carried::error)?;
    let disk = DiskManagerBuilder::default().with_temp_file_factory(Arc::new(scratch));
    let pool = Watched { pool: FairSpillPool::new(memory), watch: Arc::clone(watch) };
    let runtime =
        RuntimeEnvBuilder::new().with_disk_manager_builder(disk).with_memory_pool(Arc::new(pool)).build_arc()?;

    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_create_default_catalog_and_schema(true)
        .with_information_schema(false);
    let options = config.options_mut();
    options.execution.planning_concurrency = 1;
    options.execution.enable_recursive_ctes = true;
    options.execution.enable_file_stream_work_stealing = false;
    // What a join holds in memory is decided by which side is the input, not by guesses about sizes.
    options.optimizer.join_reordering = false;
    options.optimizer.enable_round_robin_repartition = false;
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.parquet.schema_force_view_types = false;

    let mut time = ExecutionProps::new().with_query_execution_start_time(settings.now);
    time.config_options = Some(Arc::clone(config.options()));
    let mut state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_execution_props(time)
        .with_analyzer_rule(Arc::new(CheckArithmetic::new()))
        .with_analyzer_rule(Arc::new(KeepOrder::new()))
        .with_physical_optimizer_rules(rules::all(input))
        .build();
    state.register_udaf(sum::function())?;
    Ok(state)
}

/// What a plan is run in.
///
/// A sort keeps memory aside for merging: where whole rows are the key, as much as the rows that it holds. All sorts of a
/// plan together keep half of the memory aside, so that several of them get along.
pub(super) fn context(
    state: &SessionState,
    root: &Arc<dyn ExecutionPlan>,
    settings: &Settings<'_>,
) -> Arc<TaskContext> {
    let memory = usize::try_from(settings.memory).unwrap_or(usize::MAX);
    let mut config = state.config().clone();
    config.options_mut().execution.sort_spill_reservation_bytes = memory / 2 / sorts(root).max(1);
    Arc::new(TaskContext::from(state).with_session_config(config))
}

fn sorts(plan: &Arc<dyn ExecutionPlan>) -> usize {
    usize::from(plan.is::<SortExec>()) + plan.children().into_iter().map(sorts).sum::<usize>()
}
