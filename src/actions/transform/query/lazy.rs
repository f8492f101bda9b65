//! AND and OR that ask for a side only where those before it do not decide, as in the engine for single rows: behind
//! `x <> 0 AND` a division by `x` is no error.
//!
//! `DataFusion` puts cheap conditions first, and asks for the right side everywhere unless few rows are left: the same
//! statement would fail or not by what the other rows of a batch are. So a chain with a condition that may fail becomes
//! one function, which no optimizer takes apart ([`KeepOrder`]), and which is computed in order ([`LazyLogic`]). What
//! cannot fail stays beside it for the optimizer: joins are made of it. In conditions of a join the order is
//! `DataFusion`'s.

use arrow_arith::boolean::{and_kleene, or_kleene};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as Planned};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{merge_schema, split_binary_owned};
use datafusion::logical_expr::{
    BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::ProjectionExec;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Functions that make a value of any other; what they are called by `DataFusion`.
const TOTAL: &[&str] = &[
    "btrim",
    "character_length",
    "coalesce",
    "concat",
    "concat_ws",
    "contains",
    "ends_with",
    "lower",
    "ltrim",
    "nullif",
    "octet_length",
    "replace",
    "reverse",
    "rtrim",
    "starts_with",
    "strpos",
    "upper",
];

/// Ties chains of conditions together where one of them may fail.
#[derive(Debug)]
pub(super) struct KeepOrder {
    all: Arc<ScalarUDF>,
    any: Arc<ScalarUDF>,
}

impl KeepOrder {
    pub(super) fn new() -> Self {
        let function = |is_and| Arc::new(ScalarUDF::from(InOrder::new(is_and)));
        Self { all: function(true), any: function(false) }
    }

    fn plan(&self, plan: LogicalPlan) -> Planned<Transformed<LogicalPlan>> {
        if matches!(plan, LogicalPlan::Join(_)) {
            return Ok(Transformed::no(plan));
        }
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(self.expr(expr, &schema)?.update_data(|expr| name.restore(expr)))
        })
    }

    fn expr(&self, expr: Expr, schema: &DFSchema) -> Planned<Transformed<Expr>> {
        expr.transform_down(|expr| {
            let op = match &expr {
                Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => *op,
                _ => return Ok(Transformed::no(expr)),
            };
            let mut chain = Vec::new();
            for link in split_binary_owned(expr, op) {
                chain.push(self.expr(link, schema)?.data);
            }
            let function = if op == Operator::And { &self.all } else { &self.any };
            let mut rest: Vec<Expr> =
                chain.iter().filter(|link| has_query(link) || !may_fail(link, schema)).cloned().collect();
            if rest.len() < chain.len() {
                // What holds a query becomes a join, and stays outside.
                chain.retain(|link| !has_query(link));
                let in_order = ScalarFunction { func: Arc::clone(function), args: chain };
                rest.push(Expr::ScalarFunction(in_order));
            }
            let join = |left, right| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
            let whole = rest.into_iter().reduce(join).unwrap_or_else(|| lit(op == Operator::And));
            // What is inside was looked at above.
            Ok(Transformed::new(whole, true, TreeNodeRecursion::Jump))
        })
    }
}

impl AnalyzerRule for KeepOrder {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Planned<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| self.plan(plan)).data()
    }

    fn name(&self) -> &'static str {
        "keep_order"
    }
}

/// Whether it asks another query.
fn has_query(expr: &Expr) -> bool {
    let is_query = |e: &Expr| Ok(matches!(e, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_)));
    expr.exists(is_query).unwrap_or(true)
}

/// Whether some value may make it fail.
fn may_fail(expr: &Expr, schema: &DFSchema) -> bool {
    let mut found = false;
    let looked = expr.apply(|expr| {
        found |= match expr {
            Expr::BinaryExpr(BinaryExpr { op, .. }) => {
                use Operator as O;
                matches!(op, O::Plus | O::Minus | O::Multiply | O::Divide | O::Modulo)
            }
            Expr::Cast(Cast { expr, field }) => {
                let from_number = expr.get_type(schema).is_ok_and(|kind| kind.is_numeric());
                let is_float = from_number && field.data_type().is_floating();
                !is_float && !matches!(field.data_type(), DataType::Utf8)
            }
            Expr::ScalarFunction(function) => !TOTAL.contains(&function.name()),
            Expr::Negative(_) => true,
            _ => false,
        };
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || looked.is_err()
}

/// AND or OR over conditions in their order.
#[derive(Debug, PartialEq, Eq, Hash)]
struct InOrder {
    is_and: bool,
    signature: Signature,
}

impl InOrder {
    fn new(is_and: bool) -> Self {
        Self { is_and, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for InOrder {
    fn name(&self) -> &'static str {
        if self.is_and { "all_in_order" } else { "any_in_order" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Planned<DataType> {
        Ok(DataType::Boolean)
    }

    fn short_circuits(&self) -> bool {
        true
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        let (first, others) = args.split_first()?;
        Some((vec![first], others.iter().collect()))
    }

    /// For places where nothing is lazy: all conditions are there already.
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Planned<ColumnarValue> {
        let mut so_far: ArrayRef = Arc::new(BooleanArray::from(vec![self.is_and; args.number_rows]));
        for arg in args.args {
            let next = boolean(arg.into_array(args.number_rows)?)?;
            so_far = Arc::new(both(self.is_and, so_far.as_boolean(), next.as_boolean())?);
        }
        Ok(ColumnarValue::Array(so_far))
    }
}

fn both(is_and: bool, left: &BooleanArray, right: &BooleanArray) -> Result<BooleanArray, ArrowError> {
    if is_and { and_kleene(left, right) } else { or_kleene(left, right) }
}

/// A condition that is NULL everywhere may have no type.
fn boolean(array: ArrayRef) -> Result<ArrayRef, ArrowError> {
    if *array.data_type() == DataType::Boolean { Ok(array) } else { arrow_cast::cast(&array, &DataType::Boolean) }
}

/// Computes such chains condition by condition, in filters and in the columns of results.
#[derive(Debug)]
pub(super) struct LazyLogic;

impl PhysicalOptimizerRule for LazyLogic {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Planned<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            if let Some(filter) = plan.downcast_ref::<FilterExec>() {
                let predicate = lazy(Arc::clone(filter.predicate()))?;
                if predicate.transformed {
                    let filter = FilterExecBuilder::from(filter).with_predicate(predicate.data).build()?;
                    return Ok(Transformed::yes(Arc::new(filter)));
                }
            } else if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
                let items =
                    projection.expr().iter().map(|item| Ok((lazy(Arc::clone(&item.expr))?, item.alias.clone())));
                let items = items.collect::<Planned<Vec<_>>>()?;
                if items.iter().any(|(expr, _)| expr.transformed) {
                    let items = items.into_iter().map(|(expr, alias)| ProjectionExpr { expr: expr.data, alias });
                    let projection = ProjectionExec::try_new(items, Arc::clone(projection.input()))?;
                    return Ok(Transformed::yes(Arc::new(projection)));
                }
            }
            Ok(Transformed::no(plan))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "lazy_logic"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn lazy(expr: Arc<dyn PhysicalExpr>) -> Planned<Transformed<Arc<dyn PhysicalExpr>>> {
    expr.transform_up(|expr| {
        let Some(function) = expr.downcast_ref::<ScalarFunctionExpr>() else { return Ok(Transformed::no(expr)) };
        let Some(logic) = function.fun().inner().downcast_ref::<InOrder>() else { return Ok(Transformed::no(expr)) };
        Ok(Transformed::yes(Arc::new(Lazy { chain: function.args().to_vec(), is_and: logic.is_and })))
    })
}

/// AND or OR, condition by condition.
#[derive(Debug, Eq)]
struct Lazy {
    chain: Vec<Arc<dyn PhysicalExpr>>,
    is_and: bool,
}

impl PartialEq for Lazy {
    fn eq(&self, other: &Self) -> bool {
        self.is_and == other.is_and && self.chain == other.chain
    }
}

impl Hash for Lazy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.chain.hash(state);
        self.is_and.hash(state);
    }
}

impl fmt::Display for Lazy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, link) in self.chain.iter().enumerate() {
            let between = if self.is_and { " then " } else { " or else " };
            write!(f, "{}{link}", if i > 0 { between } else { "" })?;
        }
        Ok(())
    }
}

/// The rows that are not decided: not false in AND, not true in OR.
fn open(is_and: bool, so_far: &BooleanArray) -> BooleanArray {
    let decided = if is_and { !so_far.values() } else { so_far.values().clone() };
    let decided = match so_far.nulls() {
        Some(nulls) => &decided & nulls.inner(),
        None => decided,
    };
    BooleanArray::new(!&decided, None)
}

impl PhysicalExpr for Lazy {
    fn data_type(&self, _: &Schema) -> Planned<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _: &Schema) -> Planned<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Planned<ColumnarValue> {
        let rows = batch.num_rows();
        let mut so_far: ArrayRef = Arc::new(BooleanArray::from(vec![self.is_and; rows]));
        for link in &self.chain {
            let asked = open(self.is_and, so_far.as_boolean());
            if !asked.has_true() {
                break;
            }
            let next = boolean(link.evaluate_selection(batch, &asked)?.into_array(rows)?)?;
            so_far = Arc::new(both(self.is_and, so_far.as_boolean(), next.as_boolean())?);
        }
        Ok(ColumnarValue::Array(so_far))
    }

    fn return_field(&self, schema: &Schema) -> Planned<FieldRef> {
        Ok(Arc::new(Field::new(self.to_string(), DataType::Boolean, self.nullable(schema)?)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.chain.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, chain: Vec<Arc<dyn PhysicalExpr>>) -> Planned<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { chain, is_and: self.is_and }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
