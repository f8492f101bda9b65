//! From text to the tree of the parser, and the clauses that this engine has.
//!
//! A statement is one `SELECT` over the table `input` with an optional `WHERE`. What needs more than one row at a time is
//! named with its place and refused as [`SqlError::needs_engine`]; what no build runs is refused plainly. Nothing that
//! the parser understood is ever dropped in silence.

use super::error::SqlError;
use super::text::{NESTING_MAX, Text};
use sqlparser::ast::{
    self, GroupByExpr, Query, Select, SelectFlavor, SetExpr, SetOperator, Spanned, TableAlias, TableFactor,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};
use std::ops::Range;

/// The one table of a statement.
pub(in crate::actions::transform) const TABLE: &str = "input";
/// Levels that the parser may recurse into: each of ours takes one, and the statement around them a few.
const RECURSION_MAX: usize = NESTING_MAX + 10;

/// A statement that reads well; which columns there are is not known yet.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(super) text: Text,
    pub(super) select: Box<Select>,
    /// What the table is called in the statement: `input`, or its alias.
    pub(super) table: ast::Ident,
    /// The text of each item of the list behind `SELECT`, which is its name where it has no other, and its place.
    pub(super) items: Vec<(String, Range<usize>)>,
}

impl Statement {
    /// The text it was read from.
    #[must_use]
    pub fn sql(&self) -> &str {
        self.text.sql()
    }
}

/// An expression that is to hold for each row.
#[derive(Clone, Debug)]
pub struct CheckExpr {
    pub(super) text: Text,
    pub(super) expr: ast::Expr,
}

impl CheckExpr {
    /// The text it was read from.
    #[must_use]
    pub fn sql(&self) -> &str {
        self.text.sql()
    }
}

/// Reads a statement.
///
/// # Errors
/// When it is no `SELECT` over the rows of `input`, with the place that is at fault.
pub fn parse(sql: &str) -> Result<Statement, SqlError> {
    let (text, tokens) = Text::new(sql)?;
    if text.tokens().is_empty() {
        return Err(SqlError::whole("the statement is empty").hint("for example `SELECT * FROM input`"));
    }
    let mut parser = parser(tokens);
    let mut statements = parser.parse_statements().map_err(|e| syntax(&text, e))?;
    if statements.len() != 1 {
        return Err(SqlError::whole(format!("one statement is run, not several: {}", statements.len())));
    }
    let Some(ast::Statement::Query(query)) = statements.pop() else {
        let at = text.tokens()[0].1.clone();
        return Err(SqlError::new(format!("a statement begins with SELECT, not with {}", text.excerpt(&at)), at));
    };
    let select = only_select(&text, *query)?;
    let table = only_input(&text, &select)?;
    only_rows(&text, &select)?;
    let items = item_texts(&text, &select);
    Ok(Statement { text, select, table, items })
}

/// Reads an expression.
///
/// # Errors
/// When it does not read as one expression, with the place that is at fault.
pub fn parse_check(expr: &str) -> Result<CheckExpr, SqlError> {
    let (text, tokens) = Text::new(expr)?;
    if text.tokens().is_empty() {
        return Err(SqlError::whole("the expression is empty").hint("for example `value >= 0`"));
    }
    let mut parser = parser(tokens);
    let expr = parser.parse_expr().map_err(|e| syntax(&text, e))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let at = text.range(next.span).unwrap_or(0..text.sql().len());
        return Err(SqlError::new(format!("expected the end of the expression, found {}", next.token), at));
    }
    Ok(CheckExpr { text, expr })
}

/// A parser of what was cut into tokens.
pub(in crate::actions::transform) fn parser(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&GenericDialect {}).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens)
}

/// `Expected: an expression, found: FROM` as `expected an expression, found FROM`.
pub(in crate::actions::transform) fn in_house_style(message: &str) -> String {
    let message = message.replace("Expected: ", "expected ").replace(", found: ", ", found ");
    let message = message.replace("found EOF", "found the end").replace("sql parser error: ", "");
    let mut chars = message.trim_end_matches('.').chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => "it does not read as SQL".into(),
    }
}

/// A syntax error with its place, which the parser only writes into its message.
pub(in crate::actions::transform) fn syntax(text: &Text, error: ParserError) -> SqlError {
    let message = match error {
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        ParserError::RecursionLimitExceeded => {
            return SqlError::whole(format!("the statement is nested too deeply: more than {NESTING_MAX} levels"));
        }
    };
    let Some((message, place)) = message.rsplit_once(" at Line: ") else {
        // Only the end of the text has no place.
        let end = text.tokens().last().map_or(0, |(_, at)| at.end);
        return SqlError::new(in_house_style(&message), end..end);
    };
    let place = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(sqlparser::tokenizer::Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?))
    });
    let mut error = SqlError::whole(in_house_style(message));
    if let Some(place) = place {
        let start = text.byte(place);
        let token = text.tokens().iter().find(|(_, at)| at.start == start);
        error.at = Some(token.map_or(start..text.sql().len(), |(_, at)| at.clone()));
    }
    error
}

/// The place of a clause; the whole text if it cannot be found.
fn place(text: &Text, words: &[Keyword]) -> Option<Range<usize>> {
    text.clause(words).or(Some(0..text.sql().len()))
}

/// The `SELECT` of a query that has nothing beside it.
fn only_select(text: &Text, query: Query) -> Result<Box<Select>, SqlError> {
    let engine = |what: &'static str, words: &[Keyword]| Err(SqlError::engine(what, place(text, words)));
    if query.with.is_some() {
        return engine("WITH", &[Keyword::WITH]);
    }
    if query.order_by.is_some() {
        return engine("ORDER BY", &[Keyword::ORDER, Keyword::BY]);
    }
    if let Some(limit) = &query.limit_clause {
        let offset = matches!(limit, ast::LimitClause::LimitOffset { limit: None, offset: Some(_), .. });
        return if offset { engine("OFFSET", &[Keyword::OFFSET]) } else { engine("LIMIT", &[Keyword::LIMIT]) };
    }
    if query.fetch.is_some() {
        return engine("FETCH", &[Keyword::FETCH]);
    }
    let foreign = [
        (!query.locks.is_empty() || query.for_clause.is_some(), "FOR", Keyword::FOR),
        (query.settings.is_some(), "SETTINGS", Keyword::SETTINGS),
        (query.format_clause.is_some(), "FORMAT", Keyword::FORMAT),
    ];
    refuse_foreign(text, &foreign)?;
    if !query.pipe_operators.is_empty() {
        return Err(SqlError::whole("the clause is not supported: |>"));
    }
    match *query.body {
        SetExpr::Select(select) => Ok(select),
        SetExpr::SetOperation { op, .. } => match op {
            SetOperator::Union => engine("UNION", &[Keyword::UNION]),
            SetOperator::Intersect => engine("INTERSECT", &[Keyword::INTERSECT]),
            SetOperator::Except | SetOperator::Minus => engine("EXCEPT", &[Keyword::EXCEPT]),
        },
        SetExpr::Query(_) => Err(SqlError::new("a statement begins with SELECT, not with a parenthesis", 0..1)),
        SetExpr::Values(_) => engine("VALUES", &[Keyword::VALUES]),
        _ => Err(SqlError::whole("a statement is one SELECT over the table input")),
    }
}

/// Clauses of other systems, which no build runs.
fn refuse_foreign(text: &Text, clauses: &[(bool, &str, Keyword)]) -> Result<(), SqlError> {
    for (is_there, name, keyword) in clauses {
        if *is_there {
            return Err(SqlError {
                message: format!("the clause is not supported: {name}"),
                hint: None,
                at: place(text, &[*keyword]),
                needs_engine: None,
            });
        }
    }
    Ok(())
}

/// What the only table is called, and that there is only one.
fn only_input(text: &Text, select: &Select) -> Result<ast::Ident, SqlError> {
    let whole = |select: &Select| text.range(select.select_token.0.span);
    let [from] = select.from.as_slice() else {
        if let Some(second) = select.from.get(1) {
            return Err(SqlError::engine("JOIN", text.range(second.span())));
        }
        return Err(SqlError {
            message: "the statement reads no table".into(),
            hint: Some(format!("add `FROM {TABLE}`")),
            at: whole(select),
            needs_engine: None,
        });
    };
    if let Some(join) = from.joins.first() {
        let at = text.clause(&[Keyword::JOIN]).or_else(|| text.range(join.span()));
        return Err(SqlError::engine("JOIN", at));
    }
    let (name, alias) = match &from.relation {
        TableFactor::Table {
            name,
            alias,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_hints,
        } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => (name, alias),
        TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } => {
            return Err(SqlError::engine("a subquery", text.range(from.relation.span())));
        }
        other => {
            let at = text.range(other.span()).or_else(|| text.clause(&[Keyword::FROM]));
            return Err(SqlError {
                message: "the table cannot be read like this".into(),
                hint: Some(format!("write `FROM {TABLE}`")),
                at,
                needs_engine: None,
            });
        }
    };
    let at = text.range(name.span()).unwrap_or(0..text.sql().len());
    let table = match name.0.as_slice() {
        [part] => part.as_ident(),
        _ => None,
    };
    let Some(table) = table.filter(|t| folded(t) == TABLE) else {
        return Err(SqlError::new(format!("there is no table {}", text.excerpt(&at)), at)
            .hint(format!("the rows of the input are the table `{TABLE}`")));
    };
    match alias {
        None => Ok(table.clone()),
        Some(TableAlias { name, columns, at: None, .. }) if columns.is_empty() => Ok(name.clone()),
        Some(alias) => {
            let at = text.range(alias.span()).unwrap_or(at);
            Err(SqlError::new("the alias of a table has no list of columns", at))
        }
    }
}

/// A name as SQL understands it: in lower case, unless it stands in quotes.
pub(in crate::actions::transform) fn folded(name: &ast::Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
    }
}

/// That nothing of a `SELECT` needs more than one row.
fn only_rows(text: &Text, select: &Select) -> Result<(), SqlError> {
    let engine = |what: &'static str, words: &[Keyword]| Err(SqlError::engine(what, place(text, words)));
    if select.distinct.is_some() {
        return engine("DISTINCT", &[Keyword::DISTINCT]);
    }
    let groups = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(by, modifiers) => !by.is_empty() || !modifiers.is_empty(),
    };
    if groups {
        return engine("GROUP BY", &[Keyword::GROUP, Keyword::BY]);
    }
    if select.having.is_some() {
        return engine("HAVING", &[Keyword::HAVING]);
    }
    if !select.named_window.is_empty() {
        return engine("WINDOW", &[Keyword::WINDOW]);
    }
    if select.qualify.is_some() {
        return engine("QUALIFY", &[Keyword::QUALIFY]);
    }
    let foreign = [
        (select.top.is_some(), "TOP", Keyword::TOP),
        (select.into.is_some(), "INTO", Keyword::INTO),
        (!select.lateral_views.is_empty(), "LATERAL VIEW", Keyword::LATERAL),
        (select.prewhere.is_some(), "PREWHERE", Keyword::PREWHERE),
        (!select.connect_by.is_empty(), "CONNECT BY", Keyword::CONNECT),
        (!select.cluster_by.is_empty(), "CLUSTER BY", Keyword::CLUSTER),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY", Keyword::DISTRIBUTE),
        (!select.sort_by.is_empty(), "SORT BY", Keyword::SORT),
        (select.exclude.is_some(), "EXCLUDE behind the list", Keyword::EXCLUDE),
        (select.value_table_mode.is_some(), "SELECT AS", Keyword::SELECT),
        (select.select_modifiers.is_some(), "a modifier of SELECT", Keyword::SELECT),
        (select.flavor != SelectFlavor::Standard, "FROM before SELECT", Keyword::FROM),
    ];
    refuse_foreign(text, &foreign)?;
    if select.projection.is_empty() {
        return Err(SqlError::whole("the statement selects nothing").hint("for example `SELECT * FROM input`"));
    }
    Ok(())
}

/// The text of each item, as it stands between the commas.
pub(in crate::actions::transform) fn item_texts(text: &Text, select: &Select) -> Vec<(String, Range<usize>)> {
    let mut items = Vec::with_capacity(select.projection.len());
    let mut depth = 0_usize;
    let mut item: Option<Range<usize>> = None;
    // Behind SELECT, and behind the word DISTINCT or ALL.
    let start = text.range(select.select_token.0.span).map_or(0, |at| at.end);
    let tokens = text.tokens().iter().skip_while(|(_, at)| at.start < start);
    for (token, at) in tokens.skip(usize::from(select.distinct.is_some())) {
        match token {
            Token::RParen if depth == 0 => break,
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            Token::Comma if depth == 0 => {
                items.extend(item.take());
                continue;
            }
            Token::Word(word) if depth == 0 && word.keyword == Keyword::FROM => break,
            _ => {}
        }
        item = Some(item.map_or(at.clone(), |i| i.start..at.end));
    }
    items.extend(item);
    if items.len() == select.projection.len() && !matches!(select.distinct, Some(ast::Distinct::On(_))) {
        items.into_iter().map(|at| (spaced(&text.sql()[at.clone()]), at)).collect()
    } else {
        // The parser saw other items than the commas tell: its own spelling is as good.
        select.projection.iter().map(|item| (item.to_string(), text.range(item.span()).unwrap_or(0..0))).collect()
    }
}

/// With single spaces where there were several, or line ends.
fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(sql: &str) -> (String, Option<&str>, Option<&'static str>) {
        let error = parse(sql).unwrap_err();
        (error.message, error.at.map(|at| &sql[at]), error.needs_engine)
    }

    #[test]
    fn clauses_over_several_rows_are_named_with_their_place() {
        for (sql, what, at) in [
            ("SELECT a FROM input GROUP BY a", "GROUP BY", "GROUP BY"),
            ("SELECT a FROM input\nORDER   BY a", "ORDER BY", "ORDER   BY"),
            ("SELECT DISTINCT a FROM input", "DISTINCT", "DISTINCT"),
            ("SELECT a FROM input LIMIT 5", "LIMIT", "LIMIT"),
            ("SELECT a FROM input OFFSET 5", "OFFSET", "OFFSET"),
            ("SELECT a FROM input FETCH FIRST 5 ROWS ONLY", "FETCH", "FETCH"),
            ("SELECT a FROM input HAVING a > 1", "HAVING", "HAVING"),
            ("SELECT a FROM input JOIN other ON a = b", "JOIN", "JOIN"),
            ("SELECT a FROM input, other", "JOIN", "other"),
            ("SELECT a FROM input UNION ALL SELECT b FROM input", "UNION", "UNION"),
            ("SELECT a FROM input INTERSECT SELECT b FROM input", "INTERSECT", "INTERSECT"),
            ("SELECT a FROM input EXCEPT SELECT b FROM input", "EXCEPT", "EXCEPT"),
            ("WITH x AS (SELECT 1) SELECT a FROM input", "WITH", "WITH"),
            ("SELECT a FROM input QUALIFY a > 1", "QUALIFY", "QUALIFY"),
            ("SELECT a FROM input WINDOW w AS (ORDER BY a)", "WINDOW", "WINDOW"),
        ] {
            let (message, place, needs) = refused(sql);
            assert_eq!(needs, Some(what), "{sql}: {message}");
            assert_eq!(place, Some(at), "{sql}");
        }
        assert_eq!(refused("SELECT a FROM (SELECT * FROM input) x").2, Some("a subquery"));
        assert_eq!(refused("VALUES (1)").2, Some("VALUES"));
    }

    #[test]
    fn what_no_build_runs_is_refused_too() {
        for sql in [
            "SELECT TOP 5 a FROM input",
            "SELECT a INTO b FROM input",
            "SELECT a FROM input FOR UPDATE",
            "SELECT a FROM input SORT BY a",
            "SELECT a FROM input TABLESAMPLE BERNOULLI (5)",
            "FROM input SELECT a",
            "FROM input",
            "SELECT FROM input",
            "INSERT INTO input VALUES (1)",
            "DROP TABLE input",
            "(SELECT a FROM input)",
            "SELECT a FROM input; SELECT b FROM input",
            "SELECT a FROM input AS t (x, y)",
            "SELECT a FROM input('x')",
            "",
            "-- only a comment",
        ] {
            let error = parse(sql).unwrap_err();
            assert_eq!(error.needs_engine, None, "{sql}: {error}");
        }
    }

    #[test]
    fn the_table_is_input_under_any_alias() {
        assert_eq!(folded(&parse("SELECT a FROM input").unwrap().table), "input");
        assert_eq!(folded(&parse("select a from INPUT as T").unwrap().table), "t");
        assert_eq!(folded(&parse("select a from \"input\" \"T\";").unwrap().table), "T");
        let (message, at, _) = refused("SELECT a FROM orders");
        assert_eq!((message.as_str(), at), ("there is no table orders", Some("orders")));
        assert_eq!(refused("SELECT a FROM \"INPUT\"").0, "there is no table \"INPUT\"");
        assert_eq!(refused("SELECT a FROM x.input").0, "there is no table x.input");
        let error = parse("SELECT 1").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("add `FROM input`"));
    }

    #[test]
    fn syntax_errors_have_their_place() {
        let (message, at, _) = refused("SELECT a,\n , b FROM input");
        assert_eq!((message.as_str(), at), ("expected an expression, found ,", Some(",")));
        let (message, at, _) = refused("SELECT a FROM input WHERE");
        assert_eq!((message.as_str(), at), ("expected an expression, found the end", Some("")));
        let (_, at, _) = refused("SELECT a b c FROM input");
        assert_eq!(at, Some("c"));
        let check = parse_check("a > 1 b").unwrap_err();
        assert_eq!(check.message, "expected the end of the expression, found b");
        assert_eq!(check.at, Some(6..7));
        assert!(parse_check("  ").is_err());
        assert!(parse_check("a > 1; b").is_err());
    }

    #[test]
    fn items_keep_the_text_they_were_written_in() {
        let items = parse("SELECT a , (b +\n 1) * 2, f(c, d) AS x, * FROM input").unwrap().items;
        let items: Vec<&str> = items.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(items, ["a", "(b + 1) * 2", "f(c, d) AS x", "*"]);
    }

    #[test]
    fn the_deepest_and_the_longest_that_is_let_through_is_read() {
        let deep = format!("SELECT {}1{} FROM input", "(".repeat(NESTING_MAX - 1), ")".repeat(NESTING_MAX - 1));
        let started = std::time::Instant::now();
        parse(&deep).unwrap();
        let cases = "CASE WHEN true THEN ".repeat(NESTING_MAX - 1) + "1" + &" END".repeat(NESTING_MAX - 1);
        parse(&format!("SELECT {cases} FROM input")).unwrap();
        let calls = "abs(".repeat(NESTING_MAX - 1) + "1" + &")".repeat(NESTING_MAX - 1);
        parse(&format!("SELECT {calls} FROM input")).unwrap();
        parse(&format!("SELECT 1{} FROM input", " + 1".repeat(490))).unwrap();
        parse(&format!("SELECT a{} FROM input", " IS NULL".repeat(480))).unwrap();
        assert!(started.elapsed().as_secs() < 5, "the parser tries too many ways: {:?}", started.elapsed());
    }
}
