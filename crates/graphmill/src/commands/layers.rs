//! `graphmill reindex` and `graphmill cluster`: jobs over the layers of a collection.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::assembly::Work;
use crate::client::Client;
use crate::config::Config;
use crate::output::{as_it_is, json as as_json, say, text};

/// What both take.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// Collection to work on
    #[arg(long)]
    collection: Option<String>,
    /// Do not wait for the job to end (only with a running server)
    #[arg(long)]
    detach: bool,
}

/// Arguments of `reindex`.
#[derive(Debug, Args)]
pub(crate) struct ReindexArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Make the vectors that are missing, and switch to the configured model once all are there
    #[arg(long)]
    embeddings: bool,
    /// Leave the similarities as they are
    #[arg(long)]
    no_similarities: bool,
    /// Find the communities anew
    #[arg(long)]
    clustering: bool,
    /// Neighbours of a chunk (default: 10)
    #[arg(long)]
    top_k: Option<u32>,
    /// Least cosine of a neighbour (default: 0.7)
    #[arg(long, allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// Everything anew, not only what changed
    #[arg(long)]
    full: bool,
}

/// Arguments of `cluster`.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    job: JobArgs,
    /// More than 1 makes smaller communities, less makes larger ones (default: 1)
    #[arg(long)]
    resolution: Option<f64>,
    /// Seed of what is random in it
    #[arg(long)]
    seed: Option<u64>,
    /// Most levels of the hierarchy
    #[arg(long)]
    max_levels: Option<u32>,
    /// Write a summary of each community
    #[arg(long)]
    summaries: bool,
}

/// Asks for a reindex and follows it.
pub(crate) async fn reindex(config: Config, args: ReindexArgs) -> anyhow::Result<ExitCode> {
    let mut params = Map::new();
    params.insert("rebuild_embeddings".into(), args.embeddings.into());
    params.insert("rebuild_similarities".into(), (!args.no_similarities).into());
    params.insert("run_clustering".into(), args.clustering.into());
    put(&mut params, "top_k", args.top_k);
    put(&mut params, "threshold", args.threshold);
    put(&mut params, "mode", args.full.then_some("full"));
    run(&config, "reindex", params, &args.job).await
}

/// Asks for a clustering and follows it.
pub(crate) async fn cluster(config: Config, args: ClusterArgs) -> anyhow::Result<ExitCode> {
    let mut params = Map::new();
    put(&mut params, "resolution", args.resolution);
    put(&mut params, "seed", args.seed);
    put(&mut params, "max_levels", args.max_levels);
    put(&mut params, "generate_summaries", args.summaries.then_some(true));
    run(&config, "clustering", params, &args.job).await
}

fn put(params: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        params.insert(name.to_owned(), value.into());
    }
}

/// Exit code 3 when the job did not complete.
async fn run(config: &Config, job_type: &str, params: Map<String, Value>, job: &JobArgs) -> anyhow::Result<ExitCode> {
    let mut body = json!({"job_type": job_type, "params": params});
    if let Some(collection) = &job.collection {
        body["collection"] = collection.as_str().into();
    }
    let client = Client::connect(config, Work::Jobs).await?;
    if job.detach && !client.is_remote() {
        client.close().await;
        anyhow::bail!("--detach needs a running server (graphmill serve): this process would end before its job does");
    }
    let ended = ask_and_follow(&client, &body, job.detach).await;
    client.close().await;
    ended
}

async fn ask_and_follow(client: &Client, body: &Value, detach: bool) -> anyhow::Result<ExitCode> {
    let made = client.post_json("/api/jobs", body).await?;
    let id = text(&made, "job_id").to_owned();
    if detach {
        if as_json() {
            as_it_is(&made.to_string())
        } else {
            say!("{id}  {}  {}", text(&made, "status"), text(&made, "message"))
        }
        return Ok(ExitCode::SUCCESS);
    }
    super::jobs::follow(client, &id).await
}
