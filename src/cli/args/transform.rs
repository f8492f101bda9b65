//! What can be typed behind `transform`. Values are read by the same reader as the configuration's.

use clap::builder::NonEmptyStringValueParser;
use std::path::PathBuf;

/// `transform`
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Transform {
    /// Files to read, in this order, as one table; patterns are looked up by the program too
    #[arg(value_name = "IN", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Where the result goes: .csv, .tsv or .ndjson, packed by .gz, .zst, .bz2 or .xz
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// The statement, over the table `input` [default: every column as it is]
    #[arg(long, value_name = "SQL", value_parser = NonEmptyStringValueParser::new())]
    pub sql: Option<String>,
    /// A reference file that the statement may read as a table of this name; repeat for more (feature `sql`)
    #[arg(long = "table", value_name = "NAME=PATH", value_parser = table)]
    pub tables: Vec<(String, String)>,
    /// Put the output in the place of a file that is there
    #[arg(long)]
    pub force: bool,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub threads: Option<i64>,

    /// How the input is written [default: by its name, then by its content]
    #[arg(long, value_name = "csv|tsv|ndjson|json", help_heading = "Input")]
    pub format: Option<String>,
    /// Between two fields [default: found out]
    #[arg(long, value_name = "C", help_heading = "Input")]
    pub delimiter: Option<String>,
    /// Around fields; empty: quotes are plain characters [default: "]
    #[arg(long, value_name = "C", help_heading = "Input")]
    pub quote: Option<String>,
    /// Encoding of the input, for example CP949 [default: found out]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    pub encoding: Option<String>,
    /// The first record holds data, no names
    #[arg(long, help_heading = "Input")]
    pub no_header: bool,
    /// Type of a column: bool, int, float, decimal(12,2), text, date or timestamp; repeat for more
    #[arg(long = "column", value_name = "NAME=TYPE", value_parser = pair, help_heading = "Input")]
    pub columns: Vec<(String, String)>,
    /// A field that means "no value" [default: the empty one]; repeat for more
    #[arg(long = "null", value_name = "TEXT", help_heading = "Input")]
    pub nulls: Vec<String>,
    /// Between whole and fraction
    #[arg(long, value_name = ".|,", help_heading = "Input")]
    pub decimal_point: Option<String>,
    /// A row with another number of fields: a bad row, padded with NULL, or padded and cut
    #[arg(long, value_name = "bad|pad|fit", help_heading = "Input")]
    pub ragged: Option<String>,

    /// A column that must have a value; repeat for more
    #[arg(long, value_name = "COLUMN", help_heading = "Checks")]
    pub require: Vec<String>,
    /// A condition that every row must hold, for example "value >= 0"; repeat for more
    #[arg(long, value_name = "CONDITION", help_heading = "Checks")]
    pub expect: Vec<String>,
    /// A column that no two rows may agree in; repeat: in all of them
    #[arg(long, value_name = "COLUMN", help_heading = "Checks")]
    pub unique: Vec<String>,
    /// What becomes of a bad row: the whole work fails, it goes to OUT.rejects.csv, or its bad fields become NULL
    #[arg(long, value_name = "fail|reject|null", help_heading = "Checks")]
    pub on_bad_row: Option<String>,
    /// Fail if more rows are rejected, for example 100 or 1%
    #[arg(long, value_name = "N|N%", help_heading = "Checks")]
    pub max_rejects: Option<String>,

    /// One file for each value of this column: OUT-VALUE.csv
    #[arg(long, value_name = "COLUMN", conflicts_with = "split_size", help_heading = "Output")]
    pub split_by: Option<String>,
    /// Files of about this size: OUT-1.csv, OUT-2.csv and so on
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    pub split_size: Option<String>,
    /// Between two fields of the output
    #[arg(long, value_name = "C", help_heading = "Output")]
    pub output_delimiter: Option<String>,
    /// How "no value" is written [default: the empty field]
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    pub output_null: Option<String>,
    /// No line of names
    #[arg(long, help_heading = "Output")]
    pub no_output_header: bool,
}

fn table(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.to_owned())),
        _ => Err("write a name and a path, for example prices=prices.csv".to_owned()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((name, kind)) if !name.is_empty() && !kind.is_empty() => Ok((name.to_owned(), kind.to_owned())),
        _ => Err("write a name and a type, for example id=int".to_owned()),
    }
}
