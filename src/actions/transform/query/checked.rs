//! Whole numbers that do not wrap: what overflows is an error, as in the engine for single rows.

use arrow_arith::numeric;
use arrow_array::{ArrayRef, Datum};
use arrow_schema::{ArrowError, DataType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as Planned, ScalarValue, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use std::sync::Arc;

/// Replaces arithmetic on whole numbers by arithmetic that fails where it overflows.
#[derive(Debug)]
pub(super) struct CheckArithmetic {
    add: Arc<ScalarUDF>,
    subtract: Arc<ScalarUDF>,
    multiply: Arc<ScalarUDF>,
    negate: Arc<ScalarUDF>,
}

impl CheckArithmetic {
    pub(super) fn new() -> Self {
        let function = |how| Arc::new(ScalarUDF::from(Checked::new(how)));
        Self {
            add: function(How::Add),
            subtract: function(How::Subtract),
            multiply: function(How::Multiply),
            negate: function(How::Negate),
        }
    }

    fn plan(&self, plan: LogicalPlan) -> Planned<Transformed<LogicalPlan>> {
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        let plan = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(|expr| Ok(self.expr(expr, &schema)))?.update_data(|expr| name.restore(expr)))
        })?;
        plan.map_data(LogicalPlan::recompute_schema)
    }

    fn expr(&self, expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
        let is_whole = |expr: &Expr| expr.get_type(schema).is_ok_and(|kind| kind.is_integer());
        let (function, args) = match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let function = match op {
                    Operator::Plus => &self.add,
                    Operator::Minus => &self.subtract,
                    Operator::Multiply => &self.multiply,
                    _ => return Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
                };
                if !is_whole(&left) || !is_whole(&right) {
                    return Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }));
                }
                (function, vec![*left, *right])
            }
            Expr::Negative(value) if is_whole(&value) => (&self.negate, vec![*value]),
            other => return Transformed::no(other),
        };
        Transformed::yes(Expr::ScalarFunction(ScalarFunction { func: Arc::clone(function), args }))
    }
}

impl AnalyzerRule for CheckArithmetic {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Planned<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| self.plan(plan)).map(|done| done.data)
    }

    fn name(&self) -> &'static str {
        "check_arithmetic"
    }
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum How {
    Add,
    Subtract,
    Multiply,
    Negate,
}

/// Arithmetic on whole numbers of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    how: How,
    signature: Signature,
}

impl Checked {
    fn new(how: How) -> Self {
        let count = if how == How::Negate { 1 } else { 2 };
        Self { how, signature: Signature::any(count, Volatility::Immutable) }
    }

    fn compute(&self, args: &[ColumnarValue]) -> Result<ArrayRef, ArrowError> {
        let operand = |at: usize| -> Result<Box<dyn Datum>, ArrowError> {
            match args.get(at) {
                Some(ColumnarValue::Array(array)) => Ok(Box::new(Arc::clone(array))),
                Some(ColumnarValue::Scalar(value)) => Ok(Box::new(value.to_scalar()?)),
                None => Err(ArrowError::InvalidArgumentError("a number is missing".into())),
            }
        };
        match self.how {
            How::Add => numeric::add(&*operand(0)?, &*operand(1)?),
            How::Subtract => numeric::sub(&*operand(0)?, &*operand(1)?),
            How::Multiply => numeric::mul(&*operand(0)?, &*operand(1)?),
            How::Negate => numeric::neg(operand(0)?.get().0),
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        match self.how {
            How::Add => "checked_add",
            How::Subtract => "checked_subtract",
            How::Multiply => "checked_multiply",
            How::Negate => "checked_negate",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Planned<DataType> {
        match types {
            [only] | [only, _] => Ok(only.clone()),
            _ => exec_err!("arithmetic on {} values", types.len()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Planned<ColumnarValue> {
        let result = self.compute(&args.args)?;
        if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}
