//! What can be typed behind `fetch`. Values are read by the same reader as the configuration's.

use std::path::PathBuf;

/// `fetch`
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Fetch {
    /// What to call; {1..100}, {a,b} and {date} stand for many
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<String>,
    /// Folder for the answers; several URLs need it, one alone prints its answer
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Name of each answer in it; {n}, {host}, {date} and {ext} too [default: {name}]
    #[arg(long, value_name = "TEMPLATE", requires = "output")]
    pub name: Option<String>,
    /// Put answers in the place of files that are there [default: they get the next free name]
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,

    /// Requests at once, in all and for each host
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(i64).range(1..=1024), help_heading = "Politeness")]
    pub concurrency: i64,
    /// Requests to one host in a time, for example 10/s or 600/m
    #[arg(long, value_name = "N/TIME", help_heading = "Politeness")]
    pub rate: Option<String>,
    /// Times that a URL is tried where that may help
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "Politeness")]
    pub attempts: u32,

    /// Method
    #[arg(long, value_name = "METHOD", help_heading = "Request")]
    pub method: Option<String>,
    /// A field of the header, for example "Accept: text/csv"; repeat for more
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header, help_heading = "Request")]
    pub headers: Vec<(String, String)>,
    /// A body, with its type; the method is then POST unless another is named
    #[arg(long, value_name = "TEXT", help_heading = "Request")]
    pub body: Option<String>,
    /// Type of the body
    #[arg(long, value_name = "TYPE", default_value = "application/json", help_heading = "Request")]
    pub body_type: String,
    /// A variable of the environment that holds a bearer token
    #[arg(long, value_name = "VARIABLE", help_heading = "Request")]
    pub bearer_env: Option<String>,

    /// Longest time of one request
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub timeout: Option<String>,
    /// Most bytes of one answer, for example 10MB
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub max_bytes: Option<String>,
    /// Certificates that are trusted beside those of the system: a PEM file
    #[arg(long, value_name = "FILE", help_heading = "Limits")]
    pub ca_file: Option<String>,
    /// http://HOST:PORT or socks5://HOST:PORT; the environment is not asked
    #[arg(long, value_name = "URL", help_heading = "Limits")]
    pub proxy: Option<String>,
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err("write a name and a value, for example \"Accept: text/csv\"".to_owned()),
    }
}
