//! The functions of a statement.
//!
//! [`FUNCTIONS`] is the whole list: the README is checked against it. Each behaves as the function of that name in
//! `DataFusion` 55, and takes no more than is listed: where `DataFusion` would guess at an argument, it is refused here.

pub(super) mod date;
mod join;
mod null;
mod number;
pub(super) mod pattern;
mod round;
mod text;
mod time;

use super::error::SqlError;
use super::expr::Expr;
use super::plan::Call;

/// What a function is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Characters.
    Text,
    /// Regular expressions.
    Pattern,
    /// Numbers.
    Number,
    /// Days and times.
    Date,
    /// Missing values.
    Null,
}

impl Group {
    /// Every group, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Text, Self::Pattern, Self::Number, Self::Date, Self::Null];

    /// Its heading in the documentation.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Pattern => "patterns",
            Self::Number => "numbers",
            Self::Date => "days and times",
            Self::Null => "missing values",
        }
    }
}

/// A function.
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What it is about.
    pub group: Group,
    /// How it is called.
    pub usage: &'static str,
    /// What it yields, in one line.
    pub summary: &'static str,
    pub(super) build: fn(Call<'_>) -> Result<Expr, SqlError>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.usage)
    }
}

const fn function(
    group: Group,
    name: &'static str,
    aliases: &'static [&'static str],
    usage: &'static str,
    summary: &'static str,
    build: fn(Call<'_>) -> Result<Expr, SqlError>,
) -> Function {
    Function { name, aliases, group, usage, summary, build }
}

use Group::{Date, Null, Number, Pattern, Text};

/// Every function there is.
pub const FUNCTIONS: &[Function] = &[
    function(Text, "upper", &[], "upper(text)", "in upper case", text::upper),
    function(Text, "lower", &[], "lower(text)", "in lower case", text::lower),
    function(Text, "initcap", &[], "initcap(text)", "each word with a capital", text::initcap),
    function(
        Text,
        "btrim",
        &["trim"],
        "trim(text [, characters])",
        "without spaces, or these characters, at both ends",
        text::btrim,
    ),
    function(Text, "ltrim", &[], "ltrim(text [, characters])", "without them at the start", text::ltrim),
    function(Text, "rtrim", &[], "rtrim(text [, characters])", "without them at the end", text::rtrim),
    function(Text, "length", &["char_length", "character_length"], "length(text)", "how many characters", text::length),
    function(Text, "octet_length", &[], "octet_length(text)", "how many bytes", text::octet_length),
    function(
        Text,
        "substr",
        &["substring"],
        "substr(text, from [, count])",
        "characters from a place on, counted from 1",
        text::substr,
    ),
    function(
        Text,
        "left",
        &[],
        "left(text, count)",
        "the first characters; a negative count leaves out the last",
        text::left,
    ),
    function(
        Text,
        "right",
        &[],
        "right(text, count)",
        "the last characters; a negative count leaves out the first",
        text::right,
    ),
    function(Text, "replace", &[], "replace(text, from, to)", "with one text in place of another", join::replace),
    function(
        Text,
        "translate",
        &[],
        "translate(text, from, to)",
        "with characters replaced one by one",
        join::translate,
    ),
    function(Text, "concat", &[], "concat(value, …)", "all of them joined; NULL counts as nothing", join::concat),
    function(
        Text,
        "concat_ws",
        &[],
        "concat_ws(between, value, …)",
        "joined with a text between them; NULLs are left out",
        join::concat_ws,
    ),
    function(
        Text,
        "lpad",
        &[],
        "lpad(text, count [, fill])",
        "filled at the start, or cut, to a count of characters",
        join::lpad,
    ),
    function(
        Text,
        "rpad",
        &[],
        "rpad(text, count [, fill])",
        "filled at the end, or cut, to a count of characters",
        join::rpad,
    ),
    function(Text, "repeat", &[], "repeat(text, count)", "the text several times", join::repeat),
    function(Text, "reverse", &[], "reverse(text)", "the characters from last to first", text::reverse),
    function(
        Text,
        "split_part",
        &[],
        "split_part(text, separator, number)",
        "a part of a list, counted from 1, or from the end with a negative number",
        join::split_part,
    ),
    function(
        Text,
        "strpos",
        &["instr", "position"],
        "strpos(text, part)",
        "the place of a part, counted from 1; 0 if it is not there",
        join::strpos,
    ),
    function(Text, "contains", &[], "contains(text, part)", "whether it is there", join::contains),
    function(Text, "starts_with", &[], "starts_with(text, part)", "whether it starts so", join::starts_with),
    function(Text, "ends_with", &[], "ends_with(text, part)", "whether it ends so", join::ends_with),
    function(Text, "ascii", &[], "ascii(text)", "the number of the first character", text::ascii),
    function(Text, "chr", &[], "chr(number)", "the character with this number", text::chr),
    function(
        Pattern,
        "regexp_like",
        &[],
        "regexp_like(text, pattern [, flags])",
        "whether a pattern matches; as the operators ~ and ~*",
        pattern::regexp_like,
    ),
    function(
        Pattern,
        "regexp_replace",
        &[],
        "regexp_replace(text, pattern, to [, flags])",
        "with the first match replaced, or all with the flag g",
        pattern::regexp_replace,
    ),
    function(Number, "abs", &[], "abs(number)", "without its sign", number::abs),
    function(Number, "ceil", &[], "ceil(number)", "the next whole number above", round::ceil),
    function(Number, "floor", &[], "floor(number)", "the next whole number below", round::floor),
    function(Number, "round", &[], "round(number [, places])", "to the nearest, halves away from zero", round::round),
    function(Number, "trunc", &[], "trunc(number [, places])", "without the further places", round::trunc),
    function(Number, "sqrt", &[], "sqrt(number)", "the square root", number::sqrt),
    function(Number, "power", &["pow"], "power(base, exponent)", "a power, as a float", number::power),
    function(Number, "exp", &[], "exp(number)", "a power of e", number::exp),
    function(Number, "ln", &[], "ln(number)", "the natural logarithm", number::ln),
    function(Number, "log", &[], "log([base,] number)", "a logarithm, to the base 10 if none is given", number::log),
    function(Number, "log10", &[], "log10(number)", "the logarithm to the base 10", number::log10),
    function(Number, "log2", &[], "log2(number)", "the logarithm to the base 2", number::log2),
    function(Number, "signum", &[], "signum(number)", "-1, 0 or 1", number::signum),
    function(Number, "pi", &[], "pi()", "3.141592653589793", number::pi),
    function(Number, "greatest", &[], "greatest(value, …)", "the greatest; NULLs are left out", null::greatest),
    function(Number, "least", &[], "least(value, …)", "the least; NULLs are left out", null::least),
    function(Date, "now", &["current_timestamp"], "now()", "when the job started, in UTC", date::now),
    function(Date, "current_date", &["today"], "current_date", "the day the job started, in UTC", date::current_date),
    function(
        Date,
        "date_trunc",
        &["datetrunc"],
        "date_trunc(unit, time)",
        "the start of the unit: microsecond to year",
        date::date_trunc,
    ),
    function(
        Date,
        "date_part",
        &["datepart"],
        "date_part(part, time)",
        "a part such as year, month, day, hour, dow, epoch; as EXTRACT",
        date::date_part,
    ),
    function(
        Date,
        "to_date",
        &[],
        "to_date(value [, format, …])",
        "a day, read by the first format that fits",
        time::to_date,
    ),
    function(
        Date,
        "to_timestamp",
        &[],
        "to_timestamp(value [, format, …])",
        "a time, read by the first format that fits; numbers are seconds",
        time::to_timestamp,
    ),
    function(
        Date,
        "to_timestamp_seconds",
        &[],
        "to_timestamp_seconds(value [, format, …])",
        "the same to the second; numbers are seconds",
        time::to_timestamp_seconds,
    ),
    function(
        Date,
        "to_timestamp_millis",
        &[],
        "to_timestamp_millis(value [, format, …])",
        "the same to the millisecond; numbers are milliseconds",
        time::to_timestamp_millis,
    ),
    function(
        Date,
        "to_timestamp_micros",
        &[],
        "to_timestamp_micros(value [, format, …])",
        "the same to the microsecond; numbers are microseconds",
        time::to_timestamp_micros,
    ),
    function(
        Date,
        "to_timestamp_nanos",
        &[],
        "to_timestamp_nanos(value [, format, …])",
        "the same to the nanosecond; numbers are nanoseconds",
        time::to_timestamp_nanos,
    ),
    function(
        Date,
        "to_char",
        &["date_format"],
        "to_char(time, format)",
        "written by a format such as %d.%m.%Y",
        time::to_char,
    ),
    function(Null, "coalesce", &[], "coalesce(value, …)", "the first that is not NULL", null::coalesce),
    function(Null, "nvl", &["ifnull"], "nvl(value, other)", "the other where the value is NULL", null::nvl),
    function(
        Null,
        "nvl2",
        &[],
        "nvl2(value, if_not_null, if_null)",
        "one of two, by whether the value is NULL",
        null::nvl2,
    ),
    function(Null, "nullif", &[], "nullif(value, other)", "NULL where both are equal", null::nullif),
];

/// The function with a name in lower case.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.name == name || f.aliases.contains(&name))
}

/// Every name of every function.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().flat_map(|f| std::iter::once(f.name).chain(f.aliases.iter().copied()))
}

/// Functions that only a build with the engine has: over several rows, over lists, or of no use for most files.
pub(super) const ENGINE: &[&str] = &[
    // over several rows
    "count",
    "sum",
    "avg",
    "mean",
    "min",
    "max",
    "median",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "var",
    "var_pop",
    "var_samp",
    "corr",
    "covar_pop",
    "covar_samp",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "first_value",
    "last_value",
    "nth_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "percentile_cont",
    "grouping",
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
    // one row
    "acos",
    "acosh",
    "arrow_cast",
    "arrow_typeof",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bit_length",
    "cbrt",
    "cos",
    "cosh",
    "cot",
    "current_time",
    "date_bin",
    "decode",
    "degrees",
    "digest",
    "encode",
    "factorial",
    "find_in_set",
    "from_unixtime",
    "gcd",
    "isnan",
    "iszero",
    "lcm",
    "levenshtein",
    "make_array",
    "make_date",
    "make_time",
    "md5",
    "named_struct",
    "nanvl",
    "overlay",
    "radians",
    "random",
    "regexp_count",
    "regexp_instr",
    "regexp_match",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sin",
    "sinh",
    "string_to_array",
    "struct",
    "substr_index",
    "substring_index",
    "tan",
    "tanh",
    "to_hex",
    "to_local_time",
    "to_time",
    "to_unixtime",
    "unnest",
    "uuid",
    "version",
];

/// Names that other systems have for what is written differently here.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("mod", "a % b"),
    ("sign", "signum(x)"),
    ("len", "length(x)"),
    ("ucase", "upper(x)"),
    ("lcase", "lower(x)"),
    ("if", "CASE WHEN … THEN … ELSE … END"),
    ("iff", "CASE WHEN … THEN … ELSE … END"),
    ("iif", "CASE WHEN … THEN … ELSE … END"),
    ("isnull", "x IS NULL"),
    ("getdate", "now()"),
    ("sysdate", "now()"),
    ("date_add", "x + INTERVAL '1 day'"),
    ("dateadd", "x + INTERVAL '1 day'"),
    ("date_sub", "x - INTERVAL '1 day'"),
    ("datediff", "a - b"),
    ("year", "date_part('year', x)"),
    ("month", "date_part('month', x)"),
    ("day", "date_part('day', x)"),
    ("hour", "date_part('hour', x)"),
    ("str_to_date", "to_date(x, format)"),
    ("strptime", "to_timestamp(x, format)"),
    ("strftime", "to_char(x, format)"),
    ("to_number", "CAST(x AS DOUBLE)"),
    ("int", "CAST(x AS BIGINT)"),
    ("date", "CAST(x AS DATE)"),
    ("char", "chr(x)"),
    ("regexp_matches", "regexp_like(text, pattern)"),
    ("log1p", "ln(1 + x)"),
    ("truncate", "trunc(x, places)"),
    ("ceiling", "ceil(x)"),
    ("startswith", "starts_with(text, part)"),
    ("endswith", "ends_with(text, part)"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_name_is_there_once_and_in_lower_case() {
        let all = names().chain(ENGINE.iter().copied()).chain(ELSEWHERE.iter().map(|(name, _)| *name));
        let mut seen = HashSet::new();
        for name in all {
            assert!(seen.insert(name), "twice: {name}");
            assert_eq!(name, name.to_ascii_lowercase());
        }
    }

    #[test]
    fn every_function_is_documented_under_a_name_it_has() {
        for f in FUNCTIONS {
            let shown = f.usage.split('(').next().unwrap();
            assert!(f.name == shown || f.aliases.contains(&shown), "{}", f.usage);
            assert!(!f.summary.is_empty() && !f.summary.ends_with('.'), "{}", f.name);
        }
    }
}
