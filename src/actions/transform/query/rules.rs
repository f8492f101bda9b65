//! What is changed about `DataFusion`'s plans.
//!
//! The input streams past a join while the other side is held in memory, and partitions are read one after the other, so
//! that their rows do not come in the order of a race.

use super::feed::Input;
use super::lazy::LazyLogic;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as Planned, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    ReplaceChildrenOptions,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::fmt;
use std::sync::Arc;

/// The rule after which joins have their kind and nothing depends on their sides yet.
const AFTER: &str = "join_selection";

/// `DataFusion`'s rules and ours.
pub(super) fn all(input: &Arc<Input>) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let at = rules.iter().position(|rule| rule.name() == AFTER).map_or(0, |at| at + 1);
    rules.insert(at, Arc::new(StreamInput { input: Arc::clone(input) }));
    rules.push(Arc::new(OneByOne));
    rules.push(Arc::new(LazyLogic));
    rules
}

/// Puts the other side of a join into memory, not the input.
#[derive(Debug)]
struct StreamInput {
    input: Arc<Input>,
}

impl StreamInput {
    fn reads(&self, plan: &Arc<dyn ExecutionPlan>) -> bool {
        self.input.is_read_by(plan.as_ref()) || plan.children().into_iter().any(|child| self.reads(child))
    }

    fn swap(&self, plan: Arc<dyn ExecutionPlan>) -> Planned<Transformed<Arc<dyn ExecutionPlan>>> {
        let children = plan.children();
        let [held, streamed] = children.as_slice() else { return Ok(Transformed::no(plan)) };
        if !self.reads(held) || self.reads(streamed) {
            return Ok(Transformed::no(plan));
        }
        let swapped = if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            if join.join_type().supports_swap() && !join.null_aware {
                Some(join.swap_inputs(*join.partition_mode())?)
            } else {
                None
            }
        } else if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
            if join.join_type().supports_swap() { Some(join.swap_inputs()?) } else { None }
        } else if let Some(join) = plan.downcast_ref::<CrossJoinExec>() {
            Some(join.swap_inputs()?)
        } else {
            None
        };
        Ok(swapped.map_or_else(|| Transformed::no(plan), Transformed::yes))
    }
}

impl PhysicalOptimizerRule for StreamInput {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Planned<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| self.swap(plan)).data()
    }

    fn name(&self) -> &'static str {
        "stream_input"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Reads partitions one after the other wherever `DataFusion` would take what comes first.
#[derive(Debug)]
struct OneByOne;

impl PhysicalOptimizerRule for OneByOne {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Planned<Arc<dyn ExecutionPlan>> {
        let plan = plan
            .transform_up(|plan| {
                let Some(race) = plan.downcast_ref::<CoalescePartitionsExec>() else {
                    return Ok(Transformed::no(plan));
                };
                let mut ordered = one_by_one(Arc::clone(race.input()));
                if race.fetch().is_some() {
                    ordered = Arc::new(GlobalLimitExec::new(ordered, 0, race.fetch()));
                }
                Ok(Transformed::yes(ordered))
            })
            .data()?;
        Ok(one_by_one(plan))
    }

    fn name(&self) -> &'static str {
        "one_by_one"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn one_by_one(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if plan.output_partitioning().partition_count() > 1 { Arc::new(Chain::new(plan)) } else { plan }
}

/// The rows of all partitions, those of the first one first.
#[derive(Debug)]
struct Chain {
    parts: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl Chain {
    fn new(parts: Arc<dyn ExecutionPlan>) -> Self {
        let mut known = parts.equivalence_properties().clone();
        known.clear_orderings();
        known.clear_per_partition_constants();
        let (pipeline, bounded) = (parts.pipeline_behavior(), parts.boundedness());
        let one = Partitioning::UnknownPartitioning(1);
        let properties = Arc::new(PlanProperties::new(known, one, pipeline, bounded));
        Self { parts, properties }
    }
}

impl DisplayAs for Chain {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chain")
    }
}

impl ExecutionPlan for Chain {
    fn name(&self) -> &'static str {
        "Chain"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.parts]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Planned<TreeNodeRecursion>,
    ) -> Planned<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Planned<Arc<dyn ExecutionPlan>> {
        let (Some(parts), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("a chain has one child");
        };
        Ok(Arc::new(Self::new(parts)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Planned<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Planned<SendableRecordBatchStream> {
        let parts = Arc::clone(&self.parts);
        let count = parts.output_partitioning().partition_count();
        // A part is opened when the ones before it have ended.
        let each = stream::iter(0..count).map(move |part| parts.execute(part, Arc::clone(&context)));
        let rows = each.try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
