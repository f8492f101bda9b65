//! Which column a name means.
//!
//! A name without quotes means the column in lower case, as in `DataFusion`. Where there is none, it means the column that
//! differs only in case, if that is one: files have headers such as `Id`.

use super::error::{SqlError, nearest};
use super::parse::folded;
use super::text::Text;
use crate::actions::transform::table::Table;
use arrow_schema::SchemaRef;
use sqlparser::ast::Ident;
use std::collections::HashMap;
use std::ops::Range;

/// Most names that an error lists.
const LISTED_MAX: usize = 8;

/// The columns of `input`: those of the records, then `_file` and `_line`.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) schema: SchemaRef,
    /// How many of them are columns of the records.
    pub(super) own: usize,
    exact: HashMap<String, usize>,
    /// By lower case; `None` where several differ only in case.
    folded: HashMap<String, Option<usize>>,
    /// What the table is called.
    table: Ident,
}

impl Scope {
    pub(super) fn new(table: &Table, called: &Ident) -> Self {
        let schema = table.schema();
        let mut exact = HashMap::new();
        let mut lower: HashMap<String, Option<usize>> = HashMap::new();
        for (i, field) in schema.fields().iter().enumerate() {
            exact.entry(field.name().clone()).or_insert(i);
            lower.entry(field.name().to_lowercase()).and_modify(|both| *both = None).or_insert(Some(i));
        }
        Self { schema, own: table.columns.len(), exact, folded: lower, table: called.clone() }
    }

    /// The column that a name means.
    pub(super) fn column(&self, name: &Ident, text: &Text) -> Result<usize, SqlError> {
        let at = text.range(name.span).unwrap_or(0..text.sql().len());
        self.find(name).map_err(|several| {
            if several {
                SqlError::new(format!("several columns differ from it only in case: {}", name.value), at)
                    .hint(format!("put the one you mean in double quotes: {}", self.alike(&name.value)))
            } else {
                self.unknown(name, at)
            }
        })
    }

    /// `Err(true)`: several columns could be meant.
    fn find(&self, name: &Ident) -> Result<usize, bool> {
        if let Some(&found) = self.exact.get(&folded(name)) {
            return Ok(found);
        }
        if name.quote_style.is_some() {
            return Err(false);
        }
        if let Some(&found) = self.exact.get(&name.value) {
            return Ok(found);
        }
        match self.folded.get(&name.value.to_lowercase()) {
            Some(Some(found)) => Ok(*found),
            Some(None) => Err(true),
            None => Err(false),
        }
    }

    /// The column of `table.name`.
    pub(super) fn qualified(&self, names: &[Ident], text: &Text) -> Result<usize, SqlError> {
        let at = |ident: &Ident| text.range(ident.span).unwrap_or(0..text.sql().len());
        match names {
            [table, column] if self.is_table(table) => self.column(column, text),
            [table, ..] => {
                let called = quoted(&folded(&self.table));
                Err(SqlError::new(format!("there is no table {}", table.value), at(table))
                    .hint(format!("the table is called {called} here")))
            }
            [] => Err(SqlError::whole("a name is empty")),
        }
    }

    /// Whether this is what the table is called.
    pub(super) fn is_table(&self, name: &Ident) -> bool {
        folded(name) == folded(&self.table)
    }

    fn unknown(&self, name: &Ident, at: Range<usize>) -> SqlError {
        let error = SqlError::new(format!("there is no column {}", name.value), at);
        let names = self.schema.fields().iter().map(|field| field.name().as_str());
        if let Some(near) = nearest(&name.value, names.clone()) {
            return error.hint(format!("did you mean {}?", quoted(near)));
        }
        if name.quote_style == Some('"') {
            return error.hint(format!("a text stands in single quotes: '{}'", name.value.replace('\'', "''")));
        }
        let listed: Vec<String> = names.take(self.own).take(LISTED_MAX).map(quoted).collect();
        let more = if self.own > LISTED_MAX { format!(" and {} more", self.own - LISTED_MAX) } else { String::new() };
        error.hint(format!("the columns are {}{more}", listed.join(", ")))
    }

    fn alike(&self, name: &str) -> String {
        let lower = name.to_lowercase();
        let alike = self.schema.fields().iter().filter(|f| f.name().to_lowercase() == lower);
        alike.take(LISTED_MAX).map(|f| format!("\"{}\"", f.name().replace('"', "\"\""))).collect::<Vec<_>>().join(", ")
    }
}

/// A name as it has to be written in a statement: in quotes unless it is plain.
pub(in crate::actions::transform) fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::transform::table::{Column, ColumnType};

    fn scope(names: &[&str]) -> Scope {
        let columns = names.iter().map(|n| Column { name: (*n).into(), kind: ColumnType::Int }).collect();
        Scope::new(&Table { columns }, &Ident::new("input"))
    }

    fn column(scope: &Scope, name: &str) -> Result<usize, SqlError> {
        let ident = match name.strip_prefix('"') {
            Some(inner) => Ident::with_quote('"', inner.trim_end_matches('"')),
            None => Ident::new(name),
        };
        scope.column(&ident, &Text::new(name).unwrap().0)
    }

    #[test]
    fn lower_case_comes_first_then_the_only_one_that_differs_in_case() {
        let scope = scope(&["Id", "id", "Größe", "Unit Price", "A", "a"]);
        assert_eq!(column(&scope, "Id").unwrap(), 1, "without quotes it is folded first");
        assert_eq!(column(&scope, "\"Id\"").unwrap(), 0);
        assert_eq!(column(&scope, "größe").unwrap(), 2);
        assert_eq!(column(&scope, "\"Unit Price\"").unwrap(), 3);
        assert_eq!(column(&scope, "_LINE").unwrap(), 7);
        assert!(column(&scope, "\"ID\"").is_err(), "quotes mean what they say");
        let several = column(&super::tests::scope(&["aB", "Ab"]), "ab").unwrap_err();
        assert_eq!(several.hint.as_deref(), Some("put the one you mean in double quotes: \"aB\", \"Ab\""));
    }

    #[test]
    fn an_unknown_column_gets_a_suggestion_or_the_list() {
        let scope = scope(&["id", "Unit Price"]);
        assert_eq!(column(&scope, "unit_price").unwrap_err().hint.as_deref(), Some("did you mean \"Unit Price\"?"));
        assert_eq!(column(&scope, "total").unwrap_err().hint.as_deref(), Some("the columns are id, \"Unit Price\""));
        assert_eq!(
            column(&scope, "\"it's\"").unwrap_err().hint.as_deref(),
            Some("a text stands in single quotes: 'it''s'")
        );
    }
}
