//! The command line.

mod collections;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use collections::CollectionsCommand;

use crate::commands::check::CheckArgs;
use crate::commands::communities::CommunitiesCommand;
use crate::commands::config::ConfigCommand;
use crate::commands::documents::DocumentsCommand;
use crate::commands::entities::EntitiesCommand;
use crate::commands::graph::GraphCommand;
use crate::commands::layers::{ClusterArgs, ReindexArgs};
use crate::commands::search::SearchArgs;

/// Turns document collections into a knowledge graph, as durable background jobs.
#[derive(Debug, Parser)]
#[command(name = "graphmill", version, about, arg_required_else_help = true, propagate_version = true)]
pub(crate) struct Cli {
    /// Settings that every command takes.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that stand over environment and `graphmill.toml`.
#[derive(Debug, Args)]
pub(crate) struct SettingFlags {
    /// Settings file (default: graphmill.toml in the current folder, if there is one)
    #[arg(long, global = true, env = "GRAPHMILL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of all data (default: graphmill under the user's data folder)
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Server to talk to (default: the one that runs on the data folder)
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Certificate authority to trust besides the system's, as a PEM file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_cert: Option<String>,
    /// File that holds the key to show to the server (or GRAPHMILL_TOKEN)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Print the answers of the API as JSON, one value a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl SettingFlags {
    /// The given ones, by key name.
    pub(crate) fn values(&self) -> BTreeMap<&'static str, String> {
        let given = [("data_dir", &self.data_dir), ("server", &self.server), ("ca_cert", &self.ca_cert)];
        given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// Ingest files and folders; talks to the running server, else works by itself
    Ingest(IngestArgs),
    /// List, follow, cancel and retry jobs
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// List, make, change and delete collections
    #[command(subcommand)]
    Collections(CollectionsCommand),
    /// Published documents: list, show, read, delete
    #[command(subcommand)]
    Documents(DocumentsCommand),
    /// What the documents speak of: list, show, neighbours
    #[command(subcommand)]
    Entities(EntitiesCommand),
    /// Groups of related entities: list, show
    #[command(subcommand)]
    Communities(CommunitiesCommand),
    /// Find chunks by words, by meaning, or both
    Search(SearchArgs),
    /// Bring vectors and similarities up to date
    Reindex(ReindexArgs),
    /// Find communities anew
    Cluster(ClusterArgs),
    /// Write the graph of a collection as JSON Lines
    Export(ExportArgs),
    /// Write jobs, graph, cache and files of this moment to one file, while jobs run
    Backup(BackupArgs),
    /// Make a data folder from a backup
    Restore(RestoreArgs),
    /// Counts of the graph, and how far its layers are behind
    Stats(CollectionArgs),
    /// Make, list and revoke keys of the API
    #[command(subcommand)]
    Key(KeyCommand),
    /// Compare the graph with the facts that it was made from
    Check(CheckArgs),
    /// Copy a graph from one backend to another
    #[command(subcommand)]
    Graph(GraphCommand),
    /// Look at folder, disk, clock, databases and model servers, and say what to do
    Doctor,
    /// Settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Completion script for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Version of this program
    Version,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address of the API (default: 127.0.0.1:8000)
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// The server's certificate and those above it, as a PEM file: the API speaks https
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<String>,
    /// Key of the certificate, as a PEM file
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<String>,
    /// A web origin that may call the API; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allowed_origin: Vec<String>,
    /// Quiet time after which layers that are behind are brought up by themselves: 30s, 5m, 2h, or off (default: 5m)
    #[arg(long, value_name = "DURATION")]
    pub(crate) auto_reindex: Option<String>,
}

/// Arguments of `ingest`.
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Files and folders. A file in a folder is known by its path from the folder on (`wiki/pumps/readme.md` for `ingest wiki`). Hidden files and
    /// folders in it (`.git`) are left out, and their number is said.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Collection to put them into
    #[arg(long, default_value = "default")]
    pub(crate) collection: String,
    /// Take hidden files and folders inside the given folders too
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Do not extract entities
    #[arg(long)]
    pub(crate) no_entities: bool,
    /// Characters of a chunk (default: the collection's, else 1000)
    #[arg(long)]
    pub(crate) chunk_size: Option<u64>,
    /// Characters that a chunk shares with the one before (default: the collection's, else 200)
    #[arg(long)]
    pub(crate) chunk_overlap: Option<u64>,
    /// Run all stages even when nothing changed
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not wait for the jobs to end (only with a running server)
    #[arg(long)]
    pub(crate) detach: bool,
}

/// `jobs …`
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
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
    /// Cancel pending or running jobs
    Cancel {
        /// Ids of the jobs
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<String>,
    },
    /// Try failed or cancelled jobs again, or the set-aside chunks of completed ones
    Retry {
        /// Ids of the jobs
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<String>,
    },
    /// Delete ended jobs; documents and graph stay
    Delete {
        /// Ids of the jobs
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<String>,
    },
    /// Delete old ended jobs; documents and graph stay
    Cleanup(CleanupArgs),
    /// Begin no further job of a type
    Pause {
        /// ingestion, reindex or clustering
        job_type: String,
    },
    /// Begin jobs of a type again
    Resume {
        /// ingestion, reindex or clustering
        job_type: String,
    },
}

/// Arguments of `jobs cleanup`.
#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {
    /// Only those that ended at least so many days ago
    #[arg(long, default_value_t = 7)]
    pub(crate) older_than_days: u64,
    /// completed, failed or cancelled; may be repeated (default: completed and failed)
    #[arg(long)]
    pub(crate) status: Vec<String>,
}

/// Arguments of `jobs list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// pending, running, completed, failed or cancelled
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// ingestion, reindex or clustering
    #[arg(long = "type")]
    pub(crate) job_type: Option<String>,
    /// Only those of this collection
    #[arg(long)]
    pub(crate) collection: Option<String>,
    /// Only those with this text in id, file name, source or document
    #[arg(long)]
    pub(crate) q: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

/// `key …`
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key and print it, this once; from the first key on the server asks every caller for one
    Create(CreateKeyArgs),
    /// All keys, without their secrets
    List,
    /// Revoke a key at once; its open streams end
    Revoke {
        /// Name of the key
        name: String,
    },
}

/// Arguments of `key create`.
#[derive(Debug, Args)]
pub(crate) struct CreateKeyArgs {
    /// What the key is called
    pub(crate) name: String,
    /// It may only read
    #[arg(long)]
    pub(crate) read_only: bool,
    /// It sees this collection and nothing else
    #[arg(long, value_name = "COLLECTION")]
    pub(crate) collection: Option<String>,
}

/// Severities of log lines.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Level {
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
pub(crate) struct ExportArgs {
    /// Collection to export
    #[arg(long, default_value = "default")]
    pub(crate) collection: String,
    /// File to write (default: standard output)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// File to write; it appears under its name only when it is whole and checked
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// A file that `graphmill backup` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// A collection.
#[derive(Debug, Args)]
pub(crate) struct CollectionArgs {
    /// Only this collection
    #[arg(long)]
    pub(crate) collection: Option<String>,
}
