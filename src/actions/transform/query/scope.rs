//! What is there for a name to mean: the tables of each `FROM`, their columns, and the names that a statement gives itself.

use crate::actions::transform::sql::{TABLE, folded};
use arrow_schema::Schema;
use datafusion::sql::sqlparser::ast::{self, Ident, Select, SelectItem, SetExpr, TableFactor, TableWithJoins, Visitor};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

/// The tables of a statement and their columns.
#[derive(Debug, Default)]
pub(super) struct Known {
    tables: BTreeMap<String, Vec<String>>,
}

impl Known {
    /// Adds a table.
    pub(super) fn add(&mut self, name: &str, schema: &Schema) {
        let columns = schema.fields().iter().map(|f| f.name().clone()).collect();
        self.tables.insert(name.to_owned(), columns);
    }

    pub(super) fn columns<'a>(&'a self, table: Option<&str>) -> Vec<&'a str> {
        let of = |name: &String| table.is_none_or(|t| t == name);
        self.tables.iter().filter(|(name, _)| of(name)).flat_map(|(_, c)| c).map(String::as_str).collect()
    }
}

/// What the names of a query can mean.
#[derive(Clone, Default)]
pub(super) struct Scope {
    pub(super) tables: Vec<String>,
    /// Whether it reads what another query made: its columns are any of all tables, or names that were given.
    pub(super) is_open: bool,
}

impl Scope {
    pub(super) fn new(known: &Known, from: &[TableWithJoins]) -> Self {
        let mut scope = Self::default();
        each_table(from, &mut |table| match table {
            TableFactor::Table { name, alias, .. } => {
                let own = name.0.first().and_then(|part| part.as_ident()).map(folded).unwrap_or_default();
                let has_columns = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                if known.tables.contains_key(&own) && !has_columns {
                    scope.tables.push(own);
                } else {
                    scope.is_open = true;
                }
            }
            _ => scope.is_open = true,
        });
        scope
    }
}

/// What a name means in a scope.
pub(super) enum Meaning {
    /// What it says.
    Itself,
    /// Another spelling.
    Column(String),
    /// Any of several.
    Several(String, String),
    Nothing,
}

/// What a name means among columns and names that were given.
pub(super) fn meaning(name: &Ident, columns: &[&str], aliases: Option<&HashSet<String>>) -> Meaning {
    let lower = folded(name);
    if columns.contains(&lower.as_str()) || aliases.is_some_and(|a| a.contains(&lower)) {
        return Meaning::Itself;
    }
    if columns.contains(&name.value.as_str()) {
        return Meaning::Column(name.value.clone());
    }
    let any_case = name.value.to_lowercase();
    let alike: BTreeSet<&str> = columns.iter().copied().filter(|c| c.to_lowercase() == any_case).collect();
    let mut alike = alike.into_iter().map(str::to_owned);
    match (alike.next(), alike.next()) {
        (None, _) => Meaning::Nothing,
        (Some(one), None) => Meaning::Column(one),
        (Some(one), Some(other)) => Meaning::Several(one, other),
    }
}

/// The tables of a `FROM`, in their order.
pub(super) fn each_table<'a>(from: &'a [TableWithJoins], look: &mut dyn FnMut(&'a TableFactor)) {
    for table in from {
        for factor in std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)) {
            match factor {
                TableFactor::NestedJoin { table_with_joins, alias: None } => {
                    each_table(std::slice::from_ref(table_with_joins.as_ref()), look);
                }
                _ => look(factor),
            }
        }
    }
}

/// What the tables of a `FROM` are called, in their order, and which of them is `input`.
pub(super) fn called(from: &[TableWithJoins]) -> Vec<(Option<Ident>, bool)> {
    let mut found = Vec::new();
    each_table(from, &mut |table| match table {
        TableFactor::Table { name, alias, .. } => {
            let own = name.0.first().and_then(|part| part.as_ident());
            let is_input = own.is_some_and(|name| folded(name) == TABLE);
            found.push((alias.as_ref().map(|a| &a.name).or(own).cloned(), is_input));
        }
        TableFactor::Derived { alias, .. } => found.push((alias.as_ref().map(|a| a.name.clone()), false)),
        _ => found.push((None, false)),
    });
    found
}

/// The tables that the first `SELECT` of a query reads.
pub(super) fn first_from(body: &SetExpr) -> &[TableWithJoins] {
    match body {
        SetExpr::Select(select) => &select.from,
        SetExpr::SetOperation { left, .. } => first_from(left),
        SetExpr::Query(query) => first_from(&query.body),
        _ => &[],
    }
}

/// What `input` is called in a `FROM`, each time it is there.
pub(super) fn inputs(from: &[TableWithJoins]) -> Vec<Ident> {
    called(from).into_iter().filter(|(_, is_input)| *is_input).filter_map(|(name, _)| name).collect()
}

/// Collects the names that a statement gives itself.
pub(super) struct Given<'a> {
    pub(super) known: &'a Known,
    /// Names of results and of columns of derived tables.
    pub(super) aliases: HashSet<String>,
    /// What tables are called; `None` where that means several, or one that is derived.
    pub(super) tables: HashMap<String, Option<String>>,
}

impl Given<'_> {
    fn call(&mut self, name: String, table: Option<String>) {
        self.tables
            .entry(name)
            .and_modify(|t| {
                if *t != table {
                    *t = None;
                }
            })
            .or_insert(table);
    }

    fn alias(&mut self, alias: &ast::TableAlias, table: Option<String>) {
        self.aliases.extend(alias.columns.iter().map(|c| folded(&c.name)));
        let table = if alias.columns.is_empty() { table } else { None };
        self.call(folded(&alias.name), table);
    }
}

impl Visitor for Given<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.alias(&table.alias, None);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.aliases.insert(folded(alias));
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let own = name.0.first().and_then(|part| part.as_ident()).map(folded).unwrap_or_default();
                let table = self.known.tables.contains_key(&own).then(|| own.clone());
                match alias {
                    Some(alias) => self.alias(alias, table),
                    None => self.call(own, table),
                }
            }
            TableFactor::Derived { alias: Some(alias), .. } | TableFactor::NestedJoin { alias: Some(alias), .. } => {
                self.alias(alias, None);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
