//! What can be typed behind `restore`.

use clap::ValueEnum;
use std::path::PathBuf;

/// `restore`
#[derive(Clone, Debug, clap::Args)]
pub struct Restore {
    /// An archive, a tree, or the manifest beside an archive
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,
    /// Only these: files, folders with all that is in them, or patterns such as '**/*.csv' [default: everything]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The folder to restore into [default: ./restored-NAME]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["list", "verify"])]
    pub to: Option<PathBuf>,
    /// Show what is in it, and restore nothing
    #[arg(long, conflicts_with = "verify")]
    pub list: bool,
    /// Read every byte and compare, and restore nothing
    #[arg(long, conflicts_with = "paths")]
    pub verify: bool,
    /// What becomes of a file that is there: nothing is restored, it stays, or it is replaced
    #[arg(
        long,
        value_name = "fail|skip|replace",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        conflicts_with_all = ["list", "verify"]
    )]
    pub on_exists: There,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}

/// What becomes of a file that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum There {
    /// Nothing is restored.
    #[default]
    Fail,
    /// It stays.
    Skip,
    /// It is replaced.
    Replace,
}
