//! The text of a statement: where its tokens are, in bytes, and that it is not too long or too deep to be read.
//!
//! The parser walks nested and chained expressions by recursion. What is let through here fits the stack of a thread
//! with 2 MiB, whatever the text says.

use super::error::SqlError;
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};
use std::ops::Range;

/// Longest statement, in bytes: longer ones are data, not statements.
pub(super) const STATEMENT_MAX: usize = 1024 * 1024;
/// Most levels of parentheses, calls and CASE.
pub(super) const NESTING_MAX: usize = 50;
/// Most names, values and operators in one expression; lists and the branches of CASE are expressions of their own.
pub(super) const PARTS_MAX: usize = 1000;

/// Most levels of words such as CAST that the parser takes for a function's name when there is a fault in their
/// parentheses: it reads them twice each, so that ten levels take a thousand times as long.
const RETRIES_MAX: usize = 10;

/// The text, its tokens, and the byte at which each line starts.
#[derive(Clone, Debug)]
pub(in crate::actions::transform) struct Text {
    sql: String,
    lines: Vec<Line>,
    /// Tokens without spaces and comments.
    tokens: Vec<(Token, Range<usize>)>,
}

/// A line of the text, in bytes.
#[derive(Clone, Debug)]
struct Line {
    start: usize,
    len: usize,
    /// Where each character starts, unless each is one byte.
    characters: Option<Vec<usize>>,
}

fn lines(sql: &str) -> Vec<Line> {
    let mut start = 0;
    let line = |text: &str| {
        let characters = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        let line = Line { start, len: text.len(), characters };
        start += text.len() + 1;
        line
    };
    sql.split('\n').map(line).collect()
}

impl Text {
    /// Cuts the text into tokens, and refuses one that is too long or too deep.
    pub(in crate::actions::transform) fn new(sql: &str) -> Result<(Self, Vec<TokenWithSpan>), SqlError> {
        if sql.len() > STATEMENT_MAX {
            return Err(SqlError::whole(format!(
                "the statement is too long: {} bytes, at most {STATEMENT_MAX}",
                sql.len()
            )));
        }
        let mut text = Self { sql: sql.to_owned(), lines: lines(sql), tokens: Vec::new() };
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().map_err(|error| {
            let at = text.byte(error.location);
            SqlError::new(super::parse::in_house_style(&error.message), at..sql.len())
        })?;
        for token in &tokens {
            if !matches!(token.token, Token::Whitespace(_) | Token::EOF) {
                text.tokens.push((token.token.clone(), text.range(token.span).unwrap_or(0..0)));
            }
        }
        text.bound()?;
        Ok((text, tokens))
    }

    /// The text itself.
    pub(in crate::actions::transform) fn sql(&self) -> &str {
        &self.sql
    }

    /// The tokens with their places.
    pub(in crate::actions::transform) fn tokens(&self) -> &[(Token, Range<usize>)] {
        &self.tokens
    }

    /// The byte of a place that the parser names by line and character.
    pub(super) fn byte(&self, place: Location) -> usize {
        let line = usize::try_from(place.line).unwrap_or(usize::MAX).saturating_sub(1);
        let column = usize::try_from(place.column).unwrap_or(usize::MAX).saturating_sub(1);
        let Some(line) = self.lines.get(line) else { return self.sql.len() };
        let within = match &line.characters {
            None => column,
            Some(characters) => characters.get(column).copied().unwrap_or(line.len),
        };
        line.start + within.min(line.len)
    }

    /// The bytes of a span, if the parser knows it.
    pub(in crate::actions::transform) fn range(&self, span: Span) -> Option<Range<usize>> {
        if span == Span::empty() {
            return None;
        }
        let (start, end) = (self.byte(span.start), self.byte(span.end));
        (start < end).then_some(start..end)
    }

    /// The first place of these words, one after the other, outside parentheses.
    pub(super) fn clause(&self, words: &[Keyword]) -> Option<Range<usize>> {
        let mut depth = 0_usize;
        for (i, (token, at)) in self.tokens.iter().enumerate() {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            let found = words.iter().enumerate().all(|(k, word)| self.is_word(i + k, *word));
            if depth == 0 && found {
                let end = self.tokens[i + words.len() - 1].1.end;
                return Some(at.start..end);
            }
        }
        None
    }

    fn is_word(&self, token: usize, keyword: Keyword) -> bool {
        matches!(self.tokens.get(token), Some((Token::Word(word), _)) if word.keyword == keyword)
    }

    /// A stretch of the text for messages: in one line, and cut.
    pub(in crate::actions::transform) fn excerpt(&self, at: &Range<usize>) -> String {
        const EXCERPT_MAX: usize = 60;
        let text = self.sql.get(at.clone()).unwrap_or("");
        let words: Vec<&str> = text.split_whitespace().collect();
        crate::model::text::cut(&words.join(" "), EXCERPT_MAX).into_owned()
    }

    /// Counts what the parser would recurse into, and sees that what is opened is closed: where it is not, the parser
    /// tries every way to go on.
    fn bound(&self) -> Result<(), SqlError> {
        // One entry for each level that is open, and the statement around them.
        let mut levels = vec![Level::default()];
        for (i, (token, at)) in self.tokens.iter().enumerate() {
            // Behind a point or AS a word is a name.
            let is_name = i > 0 && (self.tokens[i - 1].0 == Token::Period || self.is_word(i - 1, Keyword::AS));
            let word = match token {
                Token::Word(word) if !is_name => word.keyword,
                _ => Keyword::NoKeyword,
            };
            match (token, word) {
                (Token::LParen | Token::LBracket | Token::LBrace, _) => {
                    let outer = levels.last().map_or(0, |level| level.retries);
                    levels.push(Level { opened: Some(i), retries: outer + self.retries(i), ..Level::default() });
                }
                (_, Keyword::CASE) => {
                    let retries = levels.last().map_or(0, |level| level.retries);
                    levels.push(Level { opened: Some(i), retries, ..Level::default() });
                }
                (Token::RParen | Token::RBracket | Token::RBrace, _) | (_, Keyword::END) => {
                    let fits = levels
                        .last()
                        .and_then(|level| self.tokens.get(level.opened?))
                        .map(|(open, _)| closes(open, token));
                    match fits {
                        Some(true) => Level::close(&mut levels),
                        // Any other END is left to the parser.
                        _ if word == Keyword::END => {}
                        Some(false) => return self.closed(&levels),
                        None => {
                            return Err(SqlError::new(
                                format!("what this closes was never opened: {token}"),
                                at.clone(),
                            ));
                        }
                    }
                }
                (Token::Comma | Token::SemiColon, _) => Level::part(&mut levels),
                _ if is_boundary(word) => Level::part(&mut levels),
                _ => {}
            }
            if levels.last().is_some_and(|level| level.retries > RETRIES_MAX) {
                let what = "levels of CAST, NOT, SUBSTRING and the like";
                return Err(SqlError::new(
                    format!("the expression is nested too deeply: more than {RETRIES_MAX} {what}"),
                    at.clone(),
                ));
            }
            if levels.len() > NESTING_MAX {
                return Err(SqlError::new(
                    format!("the expression is nested too deeply: more than {NESTING_MAX} levels"),
                    at.clone(),
                ));
            }
            if let Some(level) = levels.last_mut() {
                level.parts += 1;
                if level.parts > PARTS_MAX {
                    return Err(SqlError::new(
                        format!("the expression is too long: more than {PARTS_MAX} parts"),
                        at.clone(),
                    )
                    .hint("IN, concat(), coalesce() and CASE take lists of any length"));
                }
            }
        }
        self.closed(&levels)
    }

    /// That nothing is open.
    fn closed(&self, levels: &[Level]) -> Result<(), SqlError> {
        match levels.last().and_then(|level| self.tokens.get(level.opened?)) {
            None => Ok(()),
            Some((Token::Word(_), at)) => Err(SqlError::new("the CASE has no END", at.clone())),
            Some((open, at)) => Err(SqlError::new(format!("what this opens is never closed: {open}"), at.clone())),
        }
    }

    /// How often the parser reads what stands in the parentheses that this token opens, if there is a fault in it: once,
    /// or as often again as the word before it could be the name of a function.
    fn retries(&self, open: usize) -> usize {
        use Keyword as K;
        let Some((Token::Word(word), _)) = open.checked_sub(1).and_then(|i| self.tokens.get(i)) else { return 0 };
        match word.keyword {
            K::POSITION => 2,
            K::ARRAY
            | K::CASE
            | K::CAST
            | K::CEIL
            | K::CONVERT
            | K::EXISTS
            | K::EXTRACT
            | K::FLOOR
            | K::INTERVAL
            | K::LAMBDA
            | K::MATCH
            | K::NOT
            | K::OVERLAY
            | K::SAFE_CAST
            | K::STRUCT
            | K::SUBSTR
            | K::SUBSTRING
            | K::TRIM
            | K::TRY_CAST
            | K::TRY_CONVERT => 1,
            _ => 0,
        }
    }
}

/// Whether one token closes what another opens.
fn closes(open: &Token, close: &Token) -> bool {
    matches!(
        (open, close),
        (Token::LParen, Token::RParen)
            | (Token::LBracket, Token::RBracket)
            | (Token::LBrace, Token::RBrace)
            | (Token::Word(_), Token::Word(_))
    )
}

/// Words that end one expression and begin another.
fn is_boundary(word: Keyword) -> bool {
    matches!(word, Keyword::WHEN | Keyword::THEN | Keyword::ELSE | Keyword::FROM | Keyword::WHERE | Keyword::SELECT)
}

/// What is open while the tokens are counted.
#[derive(Default)]
struct Level {
    /// The token that opened it; none for the statement itself.
    opened: Option<usize>,
    /// Parts since the last comma.
    parts: usize,
    /// Most parts between two commas.
    most: usize,
    /// Levels so far that the parser reads again if there is a fault inside.
    retries: usize,
}

impl Level {
    fn part(levels: &mut [Self]) {
        if let Some(level) = levels.last_mut() {
            level.most = level.most.max(level.parts);
            level.parts = 0;
        }
    }

    /// What was nested counts as parts of the level around it: a chain may go on inside.
    fn close(levels: &mut Vec<Self>) {
        Self::part(levels);
        if levels.len() > 1
            && let (Some(inner), Some(outer)) = (levels.pop(), levels.last_mut())
        {
            outer.parts += inner.most;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(sql: &str) -> SqlError {
        Text::new(sql).map(|_| ()).unwrap_err()
    }

    #[test]
    fn places_are_bytes_also_behind_other_characters_and_lines() {
        let sql = "SELECT 'é漢',\n  größe\nFROM input";
        let (text, _) = Text::new(sql).unwrap();
        let place = |word: &str| text.tokens().iter().find(|(t, _)| t.to_string() == word).unwrap().1.clone();
        assert_eq!(&sql[place("größe")], "größe");
        assert_eq!(&sql[place("'é漢'")], "'é漢'");
        assert_eq!(&sql[text.clause(&[Keyword::FROM]).unwrap()], "FROM");
        assert_eq!(text.byte(Location::new(99, 1)), sql.len());
        assert_eq!(text.excerpt(&(0..sql.len())), "SELECT 'é漢', größe FROM input");
    }

    #[test]
    fn a_clause_inside_parentheses_is_not_one_of_the_statement() {
        let (text, _) = Text::new("SELECT f(a ORDER BY b) FROM input ORDER  BY c").unwrap();
        assert_eq!(text.clause(&[Keyword::ORDER, Keyword::BY]), Some(34..43));
        assert_eq!(text.clause(&[Keyword::GROUP, Keyword::BY]), None);
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_refused_before_it_is_parsed() {
        assert!(error(&" ".repeat(STATEMENT_MAX + 1)).message.starts_with("the statement is too long"));
        let deep = format!("SELECT {}1{}", "(".repeat(60), ")".repeat(60));
        assert!(error(&deep).message.starts_with("the expression is nested too deeply"), "{:?}", error(&deep));
        let chain = format!("SELECT 1{}", " + 1".repeat(600));
        assert!(error(&chain).message.starts_with("the expression is too long"));
        let hidden = format!("SELECT {}1{}", "(".repeat(40), "+1+1+1+1+1+1+1+1+1+1+1+1+1)".repeat(40));
        assert!(error(&hidden).message.starts_with("the expression is too long"), "a chain through parentheses");
        let retried = format!("SELECT {}1 1{}", "NOT (".repeat(30), ")".repeat(30));
        assert!(error(&retried).message.contains("levels of CAST, NOT"), "it would take hours");
    }

    #[test]
    fn what_is_opened_has_to_be_closed() {
        for (sql, message, at) in [
            ("SELECT (1 FROM input", "what this opens is never closed: (", "("),
            ("SELECT 1) FROM input", "what this closes was never opened: )", ")"),
            ("SELECT f(a[1) FROM input", "what this opens is never closed: [", "["),
            ("SELECT CASE WHEN a THEN 1 FROM input", "the CASE has no END", "CASE"),
            ("SELECT (CASE WHEN a THEN 1) FROM input", "the CASE has no END", "CASE"),
        ] {
            let found = error(sql);
            assert_eq!((found.message.as_str(), &sql[found.at.unwrap()]), (message, at), "{sql}");
        }
        assert!(Text::new("SELECT t.case, 1 AS end, \"CASE\", '(' FROM input -- (").is_ok());
    }

    #[test]
    fn lists_and_branches_may_be_long() {
        let list = vec!["1"; 5000].join(", ");
        assert!(Text::new(&format!("SELECT a IN ({list}) FROM input")).is_ok());
        let branches = "WHEN 'a' THEN 'b' ".repeat(2000);
        assert!(Text::new(&format!("SELECT CASE x {branches} ELSE 'c' END FROM input")).is_ok());
        assert!(Text::new(&format!("SELECT {} FROM input", vec!["a * 2 AS b"; 3000].join(", "))).is_ok());
    }

    #[test]
    fn an_open_quote_is_named_at_its_place() {
        let found = error("SELECT 'abc FROM input");
        assert_eq!(found.at, Some(7..22));
        assert_eq!(found.message, "unterminated string literal");
    }
}
