//! The command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Turns document collections into a knowledge graph, as durable background jobs.
#[derive(Debug, Parser)]
#[command(name = "graphmill", version, about, arg_required_else_help = true, propagate_version = true)]
pub struct Cli {
    /// Settings that every command takes.
    #[command(flatten)]
    pub settings: SettingFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that stand over environment and `graphmill.toml`.
#[derive(Debug, Args)]
pub struct SettingFlags {
    /// Settings file (default: graphmill.toml in the current folder, if there is one)
    #[arg(long, global = true, env = "GRAPHMILL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of all data (default: graphmill under the user's data folder)
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
}

impl SettingFlags {
    /// The given ones, by key name.
    pub fn values(&self) -> BTreeMap<&'static str, String> {
        self.data_dir.iter().map(|dir| ("data_dir", dir.clone())).collect()
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// Ingest files and folders; talks to the running server, else works by itself
    Ingest(IngestArgs),
    /// List, follow, cancel and retry jobs
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Write the graph of a collection as JSON Lines
    Export(ExportArgs),
    /// Counts of the graph
    Stats(CollectionArgs),
    /// Version of this program
    Version,
    /// Parses documents for the server; not for people
    #[command(name = "__parse-child", hide = true)]
    ParseChild,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address of the API (default: 127.0.0.1:8000)
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// A web origin that may call the API; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    pub allowed_origin: Vec<String>,
}

/// Arguments of `ingest`.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// Files and folders. A file in a folder is known by its path from the folder on (`wiki/pumps/readme.md` for `ingest wiki`).
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Collection to put them into
    #[arg(long, default_value = "default")]
    pub collection: String,
    /// Do not extract entities
    #[arg(long)]
    pub no_entities: bool,
    /// Characters of a chunk
    #[arg(long, default_value_t = 1000)]
    pub chunk_size: u64,
    /// Characters that a chunk shares with the one before
    #[arg(long, default_value_t = 200)]
    pub chunk_overlap: u64,
    /// Run all stages even when nothing changed
    #[arg(long)]
    pub force: bool,
    /// Do not wait for the jobs to end (only with a running server)
    #[arg(long)]
    pub detach: bool,
}

/// `jobs …`
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// The newest jobs
    List(ListArgs),
    /// One job with its stages and errors
    Show {
        /// Id of the job
        job: String,
    },
    /// Follow a job until it ends
    Watch {
        /// Id of the job
        job: String,
    },
    /// Log of a job
    Logs {
        /// Id of the job
        job: String,
        /// Least severity shown
        #[arg(long, value_enum)]
        level: Option<Level>,
        /// At most so many lines
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Cancel a pending or running job
    Cancel {
        /// Id of the job
        job: String,
    },
    /// Try a failed or cancelled job again, or the set-aside chunks of a completed one
    Retry {
        /// Id of the job
        job: String,
    },
}

/// Arguments of `jobs list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// pending, running, completed, failed or cancelled
    #[arg(long)]
    pub status: Option<String>,
    /// ingestion, reindex or clustering
    #[arg(long = "type")]
    pub job_type: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
}

/// Severities of log lines.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Level {
    /// Everything
    Debug,
    /// The ordinary course and what is above
    Info,
    /// What may want a look
    Warning,
    /// What failed
    Error,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Collection to export
    #[arg(long, default_value = "default")]
    pub collection: String,
    /// File to write (default: standard output)
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// A collection.
#[derive(Debug, Args)]
pub struct CollectionArgs {
    /// Only this collection
    #[arg(long)]
    pub collection: Option<String>,
}
