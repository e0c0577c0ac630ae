//! `graphmill graph copy`: a graph from one backend to another, whole and verified.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use futures::TryStreamExt;
use graphmill_core::{Clock, CollectionId, SystemClock};
use graphmill_graph::GraphStore;
use graphmill_graph::copy::{Copied, CopyOptions, copy_collection};
use graphmill_graph::embedded::{EmbeddedGraph, EmbeddedOptions};
use graphmill_graph::neo4j::{Neo4jGraph, Neo4jSettings};
use graphmill_store::DataFolder;
use serde_json::{Value, json};

use crate::config::Config;
use crate::output::answer;

/// How often the terminal is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// `graph …`
#[derive(Debug, Subcommand)]
pub(crate) enum GraphCommand {
    /// Copy collections from one graph into another; run it again after an interruption, or to bring what has changed since
    Copy(CopyArgs),
}

/// Arguments of `graph copy`.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// Graph to read: neo4j://USER:PASSWORD@HOST[:PORT][?database=NAME], or a data folder on which no server runs
    #[arg(long, value_name = "URL|FOLDER")]
    from: String,
    /// Graph to write: the same, an empty one or an earlier copy
    #[arg(long, value_name = "URL|FOLDER")]
    to: String,
    /// Only this collection (default: all); may be repeated
    #[arg(long)]
    collection: Vec<CollectionId>,
}

/// A graph that is open, with what must be held meanwhile.
struct Open {
    store: Arc<dyn GraphStore>,
    _folder: Option<DataFolder>,
    _spool: Option<tempfile::TempDir>,
}

/// Copies; exit code 3 when the two exports differ.
pub(crate) async fn copy(config: Config, args: CopyArgs) -> anyhow::Result<ExitCode> {
    ensure!(args.from != args.to, "--from and --to name the same graph");
    let from = open(&config, &args.from, false).await.with_context(|| format!("--from {}", shown(&args.from)))?;
    let to = open(&config, &args.to, true).await.with_context(|| format!("--to {}", shown(&args.to)))?;
    let known = from.store.collections().await?;
    if let Some(missing) = args.collection.iter().find(|wanted| !known.contains(wanted)) {
        let names: Vec<&str> = known.iter().map(CollectionId::as_str).collect();
        bail!("--from has no collection {missing}; it has {}", names.join(", "));
    }
    let wanted = if args.collection.is_empty() { known } else { args.collection };
    let (mut copies, mut all_equal) = (Vec::new(), true);
    for collection in wanted {
        let copied = copy_one(&*from.store, &*to.store, &collection).await?;
        let (source, target) = (hash(&*from.store, &collection).await?, hash(&*to.store, &collection).await?);
        all_equal &= source == target;
        copies.push(report(&collection, copied, &source, &target));
    }
    answer(&json!({"collections": copies}), |report| {
        report["collections"].as_array().into_iter().flatten().for_each(print);
    });
    if all_equal {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "the exports differ: was one of the graphs changed meanwhile? Stop what writes to them and run this again; if they still differ, please report it"
    );
    Ok(ExitCode::from(3))
}

async fn copy_one(from: &dyn GraphStore, to: &dyn GraphStore, collection: &CollectionId) -> anyhow::Result<Copied> {
    let total = from.stats(Some(collection)).await?.documents;
    let mut next = Instant::now();
    let mut told = |copied: &Copied| {
        if Instant::now() >= next {
            next = Instant::now() + TELL_EVERY;
            let done = copied.documents + copied.passed_over;
            eprintln!("{collection}: {done} of {total} documents, {} chunks copied", copied.chunks);
        }
    };
    Ok(copy_collection(from, to, collection, CopyOptions { vectors: true }, &mut told).await?)
}

fn report(collection: &CollectionId, copied: Copied, source: &str, target: &str) -> Value {
    json!({
        "collection": collection,
        "documents": copied.documents,
        "chunks": copied.chunks,
        "passed_over": copied.passed_over,
        "removed": copied.removed,
        "similarities": copied.similarities,
        "communities": copied.communities,
        "equal": source == target,
        "hash": source,
    })
}

fn print(report: &Value) {
    println!(
        "{}: {} documents with {} chunks copied, {} there already, {} removed; {} rows of similarities, {} communities; {}",
        report["collection"].as_str().unwrap_or_default(),
        report["documents"],
        report["chunks"],
        report["passed_over"],
        report["removed"],
        report["similarities"],
        report["communities"],
        if report["equal"] == true { "both exports are equal" } else { "the exports DIFFER" }
    );
}

/// The hash in the last line of a collection's export.
async fn hash(store: &dyn GraphStore, collection: &CollectionId) -> anyhow::Result<String> {
    let mut pieces = store.export(collection).await?;
    let mut last = None;
    while let Some(piece) = pieces.try_next().await? {
        last = Some(piece);
    }
    let last = last.context("the export has no line")?;
    let line = last.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let end: Value = serde_json::from_slice(line).context("the last line of the export is no JSON")?;
    Ok(end["hash"].as_str().context("the last line of the export has no hash")?.to_owned())
}

async fn open(config: &Config, place: &str, is_target: bool) -> anyhow::Result<Open> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    if Neo4jSettings::is_neo4j_url(place) {
        let (user, password) = config.graph_login.parts();
        let settings = Neo4jSettings::parse(place, user, password)?;
        let spool = tempfile::tempdir().context("no folder can be made for temporary files")?;
        let store = Arc::new(Neo4jGraph::open(settings, clock, spool.path().to_owned()).await?);
        return Ok(Open { store, _folder: None, _spool: Some(spool) });
    }
    let folder = PathBuf::from(place);
    if !is_target && !folder.join("graph.db").exists() {
        bail!("it is neither the URL of a Neo4j server nor a data folder with a graph.db");
    }
    let lock = DataFolder::lock(&folder)?;
    let store = Arc::new(EmbeddedGraph::open(EmbeddedOptions::new(folder.join("graph.db"), clock))?);
    Ok(Open { store, _folder: Some(lock), _spool: None })
}

/// A place as it may be shown: without its password.
fn shown(place: &str) -> String {
    match url::Url::parse(place) {
        Ok(mut url) if Neo4jSettings::is_neo4j_url(place) && url.password().is_some() => {
            let hidden = url.set_password(Some("***"));
            if hidden.is_ok() { url.to_string() } else { "(a URL with a password)".to_owned() }
        }
        _ => Path::new(place).display().to_string(),
    }
}
