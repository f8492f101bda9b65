//! From text to a tree that only reads, over tables that are known.

use crate::actions::transform::sql::{SqlError, TABLE, Text, folded, nearest, parser, syntax};
use datafusion::sql::sqlparser::ast::{self, ObjectName, Select, SetExpr, Spanned, Visit, Visitor};
use std::collections::HashSet;
use std::ops::{ControlFlow, Range};

/// A statement that reads well; which columns there are is not known yet.
#[derive(Clone, Debug)]
pub struct Query {
    pub(super) text: Text,
    pub(super) tree: Box<ast::Query>,
    /// Tables beside `input` that it reads, and where it names them.
    tables: Vec<(String, Range<usize>)>,
    /// Whether something refers to itself, so that a table may be read any number of times.
    pub(super) is_recursive: bool,
}

impl Query {
    /// The text it was read from.
    #[must_use]
    pub fn sql(&self) -> &str {
        self.text.sql()
    }

    /// The tables beside `input` that it reads, each once, in lower case unless they stand in quotes.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        let mut seen = HashSet::new();
        self.tables.iter().map(|(name, _)| name.as_str()).filter(move |name| seen.insert(*name))
    }

    /// That every table it reads is known.
    ///
    /// # Errors
    /// When one is not, with its place.
    pub fn check_tables<'a>(&self, known: impl IntoIterator<Item = &'a str> + Clone) -> Result<(), SqlError> {
        let unknown = |name: &str| !known.clone().into_iter().any(|k| k == name);
        let Some((name, at)) = self.tables.iter().find(|(name, _)| unknown(name)) else { return Ok(()) };
        let error = SqlError::new(format!("there is no table {name}"), at.clone());
        Err(error.hint(match nearest(name, known.into_iter().chain([TABLE])) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the rows of the input are the table `{TABLE}`; name other files under `tables`"),
        }))
    }
}

/// Reads a statement.
///
/// # Errors
/// When it is no single `SELECT` that reads the table `input`, with the place that is at fault.
pub fn parse(sql: &str) -> Result<Query, SqlError> {
    let (text, tokens) = Text::new(sql)?;
    let Some((_, first)) = text.tokens().first().cloned() else {
        return Err(SqlError::whole("the statement is empty").hint("for example `SELECT * FROM input`"));
    };
    let mut statements = parser(tokens).parse_statements().map_err(|e| syntax(&text, e))?;
    if statements.len() != 1 {
        return Err(SqlError::whole(format!("one statement is run, not several: {}", statements.len())));
    }
    let Some(ast::Statement::Query(tree)) = statements.pop() else {
        let word = text.excerpt(&first);
        return Err(SqlError::new(format!("a statement begins with SELECT or WITH, not with {word}"), first));
    };
    let mut reader = Reader { text: &text, named: HashSet::new(), met: Vec::new(), is_recursive: false };
    if let ControlFlow::Break(error) = tree.visit(&mut reader) {
        return Err(error);
    }
    let Reader { named, met, is_recursive, .. } = reader;
    if !met.iter().any(|(name, _)| name == TABLE) {
        return Err(SqlError::whole("the statement does not read the input").hint(format!("add `FROM {TABLE}`")));
    }
    let tables = met.into_iter().filter(|(name, _)| name != TABLE && !named.contains(name)).collect();
    Ok(Query { text, tree, tables, is_recursive })
}

/// Looks through a tree for what does not only read.
struct Reader<'a> {
    text: &'a Text,
    /// Names that WITH gives.
    named: HashSet<String>,
    /// Names of tables, and where they stand.
    met: Vec<(String, Range<usize>)>,
    is_recursive: bool,
}

impl Reader<'_> {
    fn at(&self, tree: &impl Spanned) -> Range<usize> {
        self.text.range(tree.span()).unwrap_or(0..self.text.sql().len())
    }

    fn refuse(what: &str, at: Range<usize>) -> ControlFlow<SqlError> {
        ControlFlow::Break(SqlError::new(format!("the clause is not supported: {what}"), at))
    }

    fn body(&self, body: &SetExpr) -> ControlFlow<SqlError> {
        match body {
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left)?;
                self.body(right)
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                ControlFlow::Break(SqlError::new("a statement only reads", self.at(body)))
            }
            SetExpr::Table(_) => Self::refuse("TABLE", self.at(body)),
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
        }
    }
}

impl Visitor for Reader<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<SqlError> {
        let refused = [
            (!query.locks.is_empty() || query.for_clause.is_some(), "FOR"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (!query.pipe_operators.is_empty(), "|>"),
        ];
        if let Some((_, what)) = refused.iter().find(|(is_there, _)| *is_there) {
            return Self::refuse(what, self.at(query));
        }
        if let Some(with) = &query.with {
            self.is_recursive |= with.recursive;
            for table in &with.cte_tables {
                let name = folded(&table.alias.name);
                if name == TABLE {
                    let at = self.text.range(table.alias.name.span).unwrap_or(0..self.text.sql().len());
                    return ControlFlow::Break(SqlError::new(format!("WITH cannot name a table {TABLE}"), at));
                }
                self.named.insert(name);
            }
        }
        self.body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<SqlError> {
        match &select.into {
            Some(into) => Self::refuse("INTO", self.at(&into.name)),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<SqlError> {
        let at = self.at(relation);
        let name = match relation.0.as_slice() {
            [part] => part.as_ident().map(folded),
            _ => None,
        };
        match name {
            Some(name) => {
                self.met.push((name, at));
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(SqlError::new(format!("there is no table {}", self.text.excerpt(&at)), at)),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<SqlError> {
        use ast::TableFactor as F;
        match factor {
            F::Table { args: None, .. } | F::Derived { .. } | F::NestedJoin { .. } => ControlFlow::Continue(()),
            _ => {
                let at = self.at(factor);
                let error = SqlError::new("a table is read by its name alone", at);
                ControlFlow::Break(error.hint(format!("write `FROM {TABLE}` or the name of a reference table")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(sql: &str) -> (String, Option<&str>) {
        let error = parse(sql).unwrap_err();
        (error.message, error.at.map(|at| &sql[at]))
    }

    #[test]
    fn only_what_reads_the_input_is_run() {
        for (sql, message, at) in [
            ("DROP TABLE input", "a statement begins with SELECT or WITH, not with DROP", Some("DROP")),
            ("COPY input TO 'x'", "a statement begins with SELECT or WITH, not with COPY", Some("COPY")),
            ("EXPLAIN SELECT 1", "a statement begins with SELECT or WITH, not with EXPLAIN", Some("EXPLAIN")),
            ("SELECT 1 FROM input; SELECT 2 FROM input", "one statement is run, not several: 2", None),
            ("SELECT id INTO x FROM input", "the clause is not supported: INTO", Some("x")),
            ("SELECT id FROM read_csv('/etc/passwd')", "a table is read by its name alone", Some("read_csv")),
            ("SELECT id FROM input, UNNEST(x) AS u", "a table is read by its name alone", None),
            ("SELECT id FROM a.input", "there is no table a.input", Some("a.input")),
            ("SELECT 1", "the statement does not read the input", None),
            ("WITH input AS (SELECT 1) SELECT * FROM input", "WITH cannot name a table input", Some("input")),
            ("SELECT 1 FROM input FOR UPDATE", "the clause is not supported: FOR", None),
            (" -- nothing", "the statement is empty", None),
            ("SELECT a b c FROM input", "expected end of statement, found c", Some("c")),
        ] {
            let (found, place) = refused(sql);
            assert_eq!(found, message, "{sql}");
            if at.is_some() {
                assert_eq!(place, at, "{sql}");
            }
        }
        for sql in ["WITH x AS (INSERT INTO input VALUES (1)) SELECT * FROM x, input", "SELECT * FROM input |> LIMIT 1"]
        {
            assert!(parse(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn tables_are_listed_once_and_checked_at_their_place() {
        let sql =
            "WITH x AS (SELECT * FROM Prices) SELECT * FROM input JOIN x ON true JOIN prices p ON true, \"Names\"";
        let query = parse(sql).unwrap();
        assert_eq!(query.tables().collect::<Vec<_>>(), ["prices", "Names"]);
        assert!(query.check_tables(["prices", "Names", "more"]).is_ok());
        let error = query.check_tables(["prices", "names"]).unwrap_err();
        assert_eq!((error.message.as_str(), &sql[error.at.unwrap()]), ("there is no table Names", "\"Names\""));
        assert_eq!(error.hint.as_deref(), Some("did you mean names?"));
    }
}
