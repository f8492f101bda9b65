//! What the names of a statement mean, before `DataFusion` looks at it.
//!
//! A name without quotes means the column in lower case; where there is none, the one that differs only in case. `*` is
//! every column of the table but `_file`, `_line` and the number of the row, which only this module knows. A result
//! without a name is called as it is written. All of this is what the engine for single rows does, too.

use super::scope::{Given, Known, Meaning, Scope, called, first_from, inputs, meaning};
use super::statement::Query;
use crate::actions::transform::sql::{SqlError, TABLE, Text, folded, item_texts};
use crate::actions::transform::table::{FILE, LINE};
use datafusion::sql::sqlparser::ast::{
    self, ExcludeSelectItem, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableFactor, TableWithJoins, Visit, VisitMut, VisitorMut,
    WildcardAdditionalOptions,
};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// The column of `input` that numbers its rows, from 0. Nobody types this by accident.
pub(super) const ROW: &str = "row of the input";

/// The tree of a statement with its names settled. `in_order`: the result is put into the order of the input.
pub(super) fn settle(query: &Query, known: &Known, in_order: bool) -> Result<Box<ast::Query>, SqlError> {
    let mut tree = query.tree.clone();
    let mut given = Given { known, aliases: HashSet::new(), tables: HashMap::new() };
    // It never breaks off.
    let _: ControlFlow<()> = tree.visit(&mut given);
    name_results(&query.text, &mut tree.body);
    order_distinct(&mut tree);
    let Given { aliases, tables, .. } = given;
    let mut namer = Namer { known, text: &query.text, aliases, tables, scopes: Vec::new() };
    match VisitMut::visit(&mut *tree, &mut namer) {
        ControlFlow::Break(error) => return Err(error),
        ControlFlow::Continue(()) => {}
    }
    if in_order && let SetExpr::Select(select) = tree.body.as_ref() {
        let rows = inputs(&select.from).into_iter().map(|table| ast::OrderByExpr {
            expr: Expr::CompoundIdentifier(vec![table, Ident::with_quote('"', ROW)]),
            options: ast::OrderByOptions::default(),
            with_fill: None,
        });
        tree.order_by = Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(rows.collect()), interpolate: None });
    }
    Ok(tree)
}

/// Gives results without a name the text that they are written in.
fn name_results(text: &Text, body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            let texts = item_texts(text, select);
            for (item, (text, _)) in select.projection.iter_mut().zip(texts) {
                if let SelectItem::UnnamedExpr(expr) = item
                    && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
                {
                    let expr = expr.clone();
                    *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', text) };
                }
            }
        }
        // The first of several names the columns of all.
        SetExpr::SetOperation { left, .. } => name_results(text, left),
        SetExpr::Query(query) => name_results(text, &mut query.body),
        _ => {}
    }
}

/// Orders distinct results by their names where the order repeats how they are computed: behind DISTINCT only they are there.
fn order_distinct(tree: &mut ast::Query) {
    let SetExpr::Select(select) = tree.body.as_ref() else { return };
    let Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(order), .. }) = &mut tree.order_by else { return };
    if select.distinct.is_none() {
        return;
    }
    for by in order {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { expr, alias } = item
                && expr.to_string() == by.expr.to_string()
            {
                by.expr = Expr::Identifier(alias.clone());
                break;
            }
        }
    }
}

/// Rewrites names and wildcards.
struct Namer<'a> {
    known: &'a Known,
    text: &'a Text,
    aliases: HashSet<String>,
    tables: HashMap<String, Option<String>>,
    /// What each query around the place at hand reads, the innermost last.
    scopes: Vec<Scope>,
}

impl Namer<'_> {
    /// Makes a name mean the column that differs only in case, where there is no other.
    fn column(&self, table: Option<&Ident>, name: &mut Ident) -> ControlFlow<SqlError> {
        if name.quote_style.is_some() {
            return ControlFlow::Continue(());
        }
        let table = table.and_then(|t| self.tables.get(&folded(t)));
        let meaning = match table {
            Some(Some(table)) => meaning(name, &self.known.columns(Some(table)), None),
            Some(None) => self.anywhere(name),
            None => self.in_scope(name),
        };
        match meaning {
            Meaning::Itself | Meaning::Nothing => ControlFlow::Continue(()),
            Meaning::Column(column) => {
                name.value = column;
                name.quote_style = Some('"');
                ControlFlow::Continue(())
            }
            Meaning::Several(one, other) => {
                let at = self.text.range(name.span).unwrap_or(0..self.text.sql().len());
                let error = SqlError::new(format!("several columns differ from it only in case: {}", name.value), at);
                let hint = format!("put the one you mean in double quotes: \"{one}\", \"{other}\"");
                ControlFlow::Break(error.hint(hint))
            }
        }
    }

    /// From the innermost query outwards.
    fn in_scope(&self, name: &Ident) -> Meaning {
        for scope in self.scopes.iter().rev() {
            let columns: Vec<&str> = scope.tables.iter().flat_map(|table| self.known.columns(Some(table))).collect();
            let found = match meaning(name, &columns, Some(&self.aliases)) {
                Meaning::Nothing if scope.is_open => self.anywhere(name),
                found => found,
            };
            if !matches!(found, Meaning::Nothing) {
                return found;
            }
        }
        Meaning::Nothing
    }

    fn anywhere(&self, name: &Ident) -> Meaning {
        meaning(name, &self.known.columns(None), Some(&self.aliases))
    }

    /// The names of `USING`.
    fn shared(&self, table: &mut TableWithJoins) -> ControlFlow<SqlError> {
        for join in &mut table.joins {
            if let Some(JoinConstraint::Using(names)) = constraint(&mut join.join_operator) {
                for name in names {
                    self.object(name)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn object(&self, name: &mut ObjectName) -> ControlFlow<SqlError> {
        match name.0.as_mut_slice() {
            [ast::ObjectNamePart::Identifier(name)] => self.column(None, name),
            _ => ControlFlow::Continue(()),
        }
    }

    /// Leaves out of a wildcard what is not a column of the records.
    fn narrow(&self, wildcard: &mut WildcardAdditionalOptions) -> ControlFlow<SqlError> {
        let mut names = match wildcard.opt_exclude.take() {
            None => Vec::new(),
            Some(ExcludeSelectItem::Single(name)) => vec![name],
            Some(ExcludeSelectItem::Multiple(names)) => names,
        };
        if let Some(except) = wildcard.opt_except.take() {
            names.push(except.first_element.into());
            names.extend(except.additional_elements.into_iter().map(ObjectName::from));
        }
        let mut left_out = HashSet::new();
        for name in &mut names {
            self.object(name)?;
            if let [ast::ObjectNamePart::Identifier(name)] = name.0.as_mut_slice() {
                // DataFusion takes these as they stand.
                *name = Ident { value: folded(name), quote_style: Some('"'), span: name.span };
                left_out.insert(name.value.clone());
            }
        }
        let columns = self.known.columns(Some(TABLE));
        for hidden in [FILE, LINE, ROW] {
            if columns.contains(&hidden) && !left_out.contains(hidden) {
                names.push(Ident::with_quote('"', hidden).into());
            }
        }
        wildcard.opt_exclude = Some(ExcludeSelectItem::Multiple(names));
        ControlFlow::Continue(())
    }
}

impl VisitorMut for Namer<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<SqlError> {
        // For ORDER BY, which stands outside the SELECT.
        self.scopes.push(Scope::new(self.known, first_from(&query.body)));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<SqlError> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<SqlError> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        self.scopes.push(Scope::new(self.known, &select.from));
        for table in &mut select.from {
            self.shared(table)?;
        }
        let inputs: Vec<String> = inputs(&select.from).iter().map(folded).collect();
        let mut items = Vec::with_capacity(select.projection.len());
        for mut item in std::mem::take(&mut select.projection) {
            match &mut item {
                SelectItem::Wildcard(wildcard) if inputs.len() == 1 => self.narrow(wildcard)?,
                SelectItem::Wildcard(wildcard) if inputs.len() > 1 => {
                    items.extend(self.each(wildcard, &select.from)?);
                    continue;
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), wildcard) => {
                    let table = name.0.first().and_then(|part| part.as_ident()).map(folded);
                    if table.is_some_and(|table| inputs.contains(&table)) {
                        self.narrow(wildcard)?;
                    }
                }
                _ => {}
            }
            items.push(item);
        }
        select.projection = items;
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => self.shared(table_with_joins),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match expr {
            Expr::Identifier(name) => self.column(None, name),
            Expr::CompoundIdentifier(names) => match names.as_mut_slice() {
                [table, name] => self.column(Some(table), name),
                _ => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Namer<'_> {
    /// `*` over several inputs, as one wildcard for each table.
    fn each(
        &self,
        wildcard: &WildcardAdditionalOptions,
        from: &[TableWithJoins],
    ) -> ControlFlow<SqlError, Vec<SelectItem>> {
        let at = self.text.range(wildcard.wildcard_token.0.span).unwrap_or(0..self.text.sql().len());
        let several = SqlError::new("* over the input twice says too little", at)
            .hint("name each table, for example `a.*, b.*`, or the columns");
        let mut items = Vec::new();
        for (name, is_input) in called(from) {
            let mut wildcard = wildcard.clone();
            let (Some(name), None, None) = (name, &wildcard.opt_exclude, &wildcard.opt_except) else {
                return ControlFlow::Break(several);
            };
            if is_input && let ControlFlow::Break(error) = self.narrow(&mut wildcard) {
                return ControlFlow::Break(error);
            }
            items.push(SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name.into()),
                wildcard,
            ));
        }
        ControlFlow::Continue(items)
    }
}

/// What ties the two sides of a join, where something does.
fn constraint(join: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    use JoinOperator as J;
    match join {
        J::Join(c)
        | J::Inner(c)
        | J::Left(c)
        | J::LeftOuter(c)
        | J::Right(c)
        | J::RightOuter(c)
        | J::FullOuter(c)
        | J::CrossJoin(c)
        | J::Semi(c)
        | J::LeftSemi(c)
        | J::RightSemi(c)
        | J::Anti(c)
        | J::LeftAnti(c)
        | J::RightAnti(c)
        | J::StraightJoin(c) => Some(c),
        _ => None,
    }
}
