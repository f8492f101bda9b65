//! Calls of functions: which function is meant, and its arguments.

use super::{Expr, Planned, Planner, coerce, differ, fold};
use crate::actions::transform::sql::cast;
use crate::actions::transform::sql::error::{SqlError, nearest};
use crate::actions::transform::sql::expr::{Kind, Run};
use crate::actions::transform::sql::functions::{self, Function};
use crate::actions::transform::sql::types;
use crate::actions::transform::sql::value::{Result as Computed, Value, texts};
use arrow_schema::DataType;
use sqlparser::ast::{
    self, CeilFloorKind, DateTimeField, FunctionArg, FunctionArgExpr, FunctionArguments, TrimWhereField,
};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

impl Planner<'_> {
    /// `name(argument, …)`.
    pub(super) fn function(&self, call: &ast::Function) -> Planned {
        let name_at = match call.name.0.as_slice() {
            [part] => part.as_ident().and_then(|i| self.text.range(i.span)),
            _ => None,
        };
        let whole = || {
            let span = sqlparser::ast::Spanned::span(call);
            self.text.range(span).unwrap_or(0..self.text.sql().len())
        };
        let name_at = name_at.unwrap_or_else(whole);
        let name = call.name.to_string().to_ascii_lowercase();
        if call.over.is_some() {
            return Err(SqlError::engine("window functions", Some(name_at)));
        }
        let function = find(&name, &name_at)?;
        let mut arguments = Vec::new();
        if let FunctionArguments::List(list) = &call.args {
            if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
                return Err(SqlError::new(format!("{name} takes arguments only"), name_at));
            }
            for argument in &list.args {
                match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => arguments.push(self.plan(expr)?),
                    _ => return Err(SqlError::new(format!("{name} takes values only"), name_at)),
                }
            }
        }
        let plain = call.filter.is_none()
            && call.null_treatment.is_none()
            && call.within_group.is_empty()
            && !call.uses_odbc_syntax
            && matches!(call.parameters, FunctionArguments::None)
            && !matches!(call.args, FunctionArguments::Subquery(_));
        if !plain {
            return Err(SqlError::new(format!("{name} takes arguments only"), name_at));
        }
        let tokens = self.text.tokens();
        let open = tokens.partition_point(|(_, at)| at.start < name_at.end);
        let end = match call.args {
            FunctionArguments::None => name_at.end,
            _ => self.closing(open).unwrap_or(name_at.end),
        };
        (function.build)(Call { planner: self, function, at: name_at.start..end, arguments })
    }

    /// Calls with words between their arguments.
    pub(super) fn keyword_call(&self, expr: &ast::Expr) -> Planned {
        use ast::Expr as E;
        let (name, parts): (&str, Vec<&ast::Expr>) = match expr {
            E::Extract { field, expr: inner, .. } => {
                let value = self.plan(inner)?;
                let at = self.call_around(&value.at);
                let part =
                    super::constant(Value::of(arrow_array::StringArray::from(vec![field.to_string()])), at.clone());
                let function = find("date_part", &at)?;
                return (function.build)(Call { planner: self, function, at, arguments: vec![part, value] });
            }
            E::Ceil { expr: inner, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                ("ceil", vec![inner])
            }
            E::Floor { expr: inner, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                ("floor", vec![inner])
            }
            E::Position { expr: needle, r#in } => ("strpos", vec![r#in, needle]),
            E::Substring { expr: inner, substring_from: Some(from), substring_for, .. } => {
                let mut parts: Vec<&ast::Expr> = vec![inner, from];
                parts.extend(substring_for.as_deref());
                ("substr", parts)
            }
            E::Trim { trim_where, trim_what, expr: inner, trim_characters } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    Some(TrimWhereField::Both) | None => "btrim",
                };
                let mut parts: Vec<&ast::Expr> = vec![inner];
                parts.extend(trim_what.as_deref());
                parts.extend(trim_characters.iter().flatten());
                (name, parts)
            }
            other => return Err(self.refuse(other)),
        };
        let arguments = parts.into_iter().map(|e| self.plan(e)).collect::<Result<Vec<_>, _>>()?;
        let first = arguments.first().map_or(0..0, |e| e.at.clone());
        let at = self.call_around(&first);
        let function = find(name, &at)?;
        (function.build)(Call { planner: self, function, at, arguments })
    }
}

/// The function with this name, or what could have been meant.
fn find(name: &str, at: &Range<usize>) -> Result<&'static Function, SqlError> {
    if let Some(function) = functions::find(name) {
        return Ok(function);
    }
    if let Some(known) = functions::ENGINE.iter().find(|f| **f == name) {
        return Err(SqlError::engine(known, Some(at.clone())));
    }
    let error = SqlError::new(format!("there is no function {name}"), at.clone());
    if let Some((_, instead)) = functions::ELSEWHERE.iter().find(|(other, _)| *other == name) {
        return Err(error.hint(format!("write {instead}")));
    }
    Err(match nearest(name, functions::names()) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint("the functions are listed in the README"),
    })
}

/// A call whose arguments are planned, on its way to an expression.
pub(in crate::actions::transform::sql) struct Call<'p> {
    pub(in crate::actions::transform::sql) planner: &'p Planner<'p>,
    pub(in crate::actions::transform::sql) function: &'static Function,
    pub(in crate::actions::transform::sql) at: Range<usize>,
    pub(in crate::actions::transform::sql) arguments: Vec<Expr>,
}

impl Call<'_> {
    /// Refuses another number of arguments.
    pub(in crate::actions::transform::sql) fn count(&self, allowed: RangeInclusive<usize>) -> Result<(), SqlError> {
        let given = self.arguments.len();
        if allowed.contains(&given) {
            return Ok(());
        }
        let (least, most) = (*allowed.start(), *allowed.end());
        let takes = match (least, most) {
            (0, 0) => "no arguments".to_owned(),
            (1, 1) => "1 argument".to_owned(),
            (_, usize::MAX) => format!("at least {least} argument{}", if least == 1 { "" } else { "s" }),
            _ if least == most => format!("{least} arguments"),
            _ => format!("{least} to {most} arguments"),
        };
        let name = self.function.name;
        Err(SqlError::new(format!("{name} takes {takes}, not {given}"), self.at.clone()).hint(self.function.usage))
    }

    /// Says that an argument has the wrong type.
    pub(in crate::actions::transform::sql) fn wrong(&self, i: usize, wanted: &str) -> SqlError {
        let argument = &self.arguments[i];
        let found = cast::with_article(&argument.data_type);
        let name = self.function.name;
        SqlError::new(format!("{name} takes {wanted} here, not {found}"), argument.at.clone()).hint(self.function.usage)
    }

    /// The type of an argument.
    pub(in crate::actions::transform::sql) fn type_of(&self, i: usize) -> &DataType {
        &self.arguments[i].data_type
    }

    /// Brings an argument to a type.
    pub(in crate::actions::transform::sql) fn make(&mut self, i: usize, to: &DataType) {
        let argument = self.arguments.remove(i);
        self.arguments.insert(i, coerce(argument, to));
    }

    /// An argument that must be a text.
    pub(in crate::actions::transform::sql) fn text(&mut self, i: usize) -> Result<(), SqlError> {
        if !matches!(self.type_of(i), DataType::Utf8 | DataType::Null) {
            return Err(self.wrong(i, "a text"));
        }
        self.make(i, &DataType::Utf8);
        Ok(())
    }

    /// An argument that must be a whole number.
    pub(in crate::actions::transform::sql) fn whole(&mut self, i: usize) -> Result<(), SqlError> {
        if !self.type_of(i).is_integer() && !self.type_of(i).is_null() {
            return Err(self.wrong(i, "a whole number"));
        }
        self.make(i, &DataType::Int64);
        Ok(())
    }

    /// An argument that must be a number, as a float; a float of 32 bits stays one.
    pub(in crate::actions::transform::sql) fn float(&mut self, i: usize) -> Result<(), SqlError> {
        let to = match self.type_of(i) {
            DataType::Float32 => return Ok(()),
            number if number.is_numeric() || number.is_null() => DataType::Float64,
            _ => return Err(self.wrong(i, "a number")),
        };
        self.make(i, &to);
        Ok(())
    }

    /// An argument that must be a text known beforehand.
    pub(in crate::actions::transform::sql) fn known_text(&mut self, i: usize) -> Result<String, SqlError> {
        self.text(i)?;
        let known = self.arguments[i].literal().and_then(|v| texts(v).ok()?.get(0).map(str::to_owned));
        known.ok_or_else(|| {
            let name = self.function.name;
            SqlError::new(format!("{name} takes a constant text here"), self.arguments[i].at.clone())
                .hint(self.function.usage)
        })
    }

    /// A fault of an argument.
    pub(in crate::actions::transform::sql) fn fault(&self, i: usize, message: impl Into<String>) -> SqlError {
        let at = self.arguments.get(i).map_or(self.at.clone(), |a| a.at.clone());
        SqlError::new(message, at).hint(self.function.usage)
    }

    /// The types of all arguments.
    pub(in crate::actions::transform::sql) fn types(&self) -> Vec<DataType> {
        self.arguments.iter().map(|a| a.data_type.clone()).collect()
    }

    /// Brings all arguments to the type in which they are compared.
    pub(in crate::actions::transform::sql) fn compared(&mut self) -> Result<DataType, SqlError> {
        let (first, others) = self.arguments.split_first().ok_or_else(|| SqlError::whole("no arguments"))?;
        let together = others.iter().try_fold(first.data_type.clone(), |so_far, next| {
            types::compared(&so_far, &next.data_type).ok_or_else(|| differ(first, next, "compared"))
        })?;
        self.make_all(&together);
        Ok(together)
    }

    /// Brings all arguments to one type.
    pub(in crate::actions::transform::sql) fn make_all(&mut self, to: &DataType) {
        let arguments = std::mem::take(&mut self.arguments);
        self.arguments = arguments.into_iter().map(|a| coerce(a, to)).collect();
    }

    /// The call as an expression that runs this.
    pub(in crate::actions::transform::sql) fn run(
        self,
        data_type: DataType,
        run: impl Fn(&[Value], usize) -> Computed<Value> + Send + Sync + 'static,
    ) -> Expr {
        self.run_boxed(data_type, Arc::new(run))
    }

    fn run_boxed(self, data_type: DataType, run: Arc<Run>) -> Expr {
        let text = Arc::from(self.planner.text.excerpt(&self.at));
        fold(Kind::Call { arguments: self.arguments, run, text }, data_type, self.at)
    }

    /// The call as another kind of expression.
    pub(in crate::actions::transform::sql) fn becomes(at: Range<usize>, kind: Kind, data_type: DataType) -> Expr {
        fold(kind, data_type, at)
    }
}
