//! `graphmill documents …`: list, show, chunks, entities, original, delete.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use futures::StreamExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::assembly::Work;
use crate::client::{Client, ask};
use crate::config::Config;
use crate::output::{
    Table, answer, block, count, cut, fact, in_words, kept, number, of_stdout, prose, say, size, tell, text,
};
use crate::query::{Query, step};

/// `documents …`
#[derive(Debug, Subcommand)]
pub(crate) enum DocumentsCommand {
    /// Published documents, newest first
    List(ListArgs),
    /// One document with its latest job
    Show {
        /// Id of the document
        document: String,
    },
    /// Its chunks in order
    Chunks(PageArgs),
    /// The entities that it mentions
    Entities(PageArgs),
    /// The file as it was uploaded
    Original {
        /// Id of the document
        document: String,
        /// File to write (default: standard output)
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Delete documents with what the graph has of them
    Delete {
        /// Ids of the documents
        #[arg(required = true, value_name = "DOCUMENT")]
        documents: Vec<String>,
        /// Also remove cached answers, logs and the original
        #[arg(long)]
        purge: bool,
    },
}

/// Arguments of `documents list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this collection
    #[arg(long)]
    collection: Option<String>,
    /// Only those with this text in source or file name
    #[arg(long)]
    q: Option<String>,
    /// updated_at, created_at, filename, file_size or chunk_count
    #[arg(long)]
    sort: Option<String>,
    /// asc or desc
    #[arg(long)]
    order: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

/// A page of something that belongs to a document.
#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// Id of the document
    document: String,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Skip so many
    #[arg(long, default_value_t = 0)]
    offset: u64,
}

/// Runs a command.
pub(crate) async fn run(config: Config, command: DocumentsCommand) -> anyhow::Result<ExitCode> {
    match command {
        DocumentsCommand::List(args) => list(&config, args).await,
        DocumentsCommand::Show { document } => show(&config, &document).await,
        DocumentsCommand::Chunks(args) => chunks(&config, &args).await,
        DocumentsCommand::Entities(args) => entities(&config, &args).await,
        DocumentsCommand::Original { document, output } => original(&config, &document, output).await,
        DocumentsCommand::Delete { documents, purge } => delete(&config, &documents, purge).await,
    }
}

async fn list(config: &Config, args: ListArgs) -> anyhow::Result<ExitCode> {
    let query = Query::new().with("collection", args.collection.as_deref()).with("q", args.q).with("sort", args.sort);
    let path = query.with("order", args.order).with("limit", Some(args.limit)).on("/api/documents");
    let page = ask(config, Work::None, async |client| {
        client.must_have(args.collection.as_deref()).await?;
        client.get(&path).await
    })
    .await?;
    answer(&page, |page| {
        let mut table = Table::new(&[
            kept("document"),
            fact("collection", 4),
            prose("source", 6),
            fact("size", 3),
            fact("pages", 1),
            fact("chunks", 2),
            fact("updated", 5),
        ]);
        for document in page["documents"].as_array().into_iter().flatten() {
            table.row([
                text(document, "document_id").to_owned(),
                text(document, "collection").to_owned(),
                text(document, "source").to_owned(),
                size(document["file_size"].as_u64().unwrap_or(0)),
                number(document, "page_count"),
                number(document, "chunk_count"),
                text(document, "updated_at").to_owned(),
            ]);
        }
        table.print();
        count(page, "documents", "document");
    });
    Ok(ExitCode::SUCCESS)
}

async fn show(config: &Config, document: &str) -> anyhow::Result<ExitCode> {
    let path = format!("/api/documents/{}", step(document));
    let found = ask(config, Work::None, async |client| client.get(&path).await).await?;
    answer(&found, |found| {
        for (name, value) in found.as_object().into_iter().flatten() {
            match value {
                Value::Object(job) => {
                    let of = |key: &str| job.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
                    say!("{name:<20} {} {} {}", of("job_id"), of("status"), of("message"));
                }
                Value::String(text) => say!("{name:<20} {text}"),
                other => say!("{name:<20} {other}"),
            }
        }
    });
    Ok(ExitCode::SUCCESS)
}

async fn chunks(config: &Config, args: &PageArgs) -> anyhow::Result<ExitCode> {
    let page = page_of(config, args, "chunks").await?;
    answer(&page, |page| {
        for chunk in page["chunks"].as_array().into_iter().flatten() {
            let headings: Vec<_> =
                chunk["heading_path"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            say!(
                "[{}] page {} {}  {}",
                chunk["chunk_index"],
                chunk["page_start"],
                headings.join(" › "),
                text(chunk, "chunk_id")
            );
            block("", text(chunk, "text"));
            say!("");
        }
        count(page, "chunks", "chunk");
    });
    Ok(ExitCode::SUCCESS)
}

async fn entities(config: &Config, args: &PageArgs) -> anyhow::Result<ExitCode> {
    let page = page_of(config, args, "entities").await?;
    answer(&page, |page| {
        let mut table = Table::new(&[
            kept("entity"),
            prose("name", 6),
            fact("type", 5),
            fact("here", 4),
            fact("in all", 3),
            prose("description", 2),
        ]);
        for entity in page["entities"].as_array().into_iter().flatten() {
            table.row([
                text(entity, "entity_id").to_owned(),
                text(entity, "name").to_owned(),
                text(entity, "type").to_owned(),
                number(entity, "mentions_here"),
                number(entity, "mention_count"),
                cut(text(entity, "description"), 60),
            ]);
        }
        table.print();
        count(page, "entities", "entity");
    });
    Ok(ExitCode::SUCCESS)
}

async fn page_of(config: &Config, args: &PageArgs, what: &str) -> anyhow::Result<Value> {
    let query = Query::new().with("limit", Some(args.limit)).with("offset", Some(args.offset));
    let path = query.on(&format!("/api/documents/{}/{what}", step(&args.document)));
    ask(config, Work::None, async |client| client.get(&path).await).await
}

async fn original(config: &Config, document: &str, output: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let client = Client::connect(config, Work::None).await?;
    let written = write_original(&client, document, output).await;
    client.close().await;
    written.map(|()| ExitCode::SUCCESS)
}

async fn write_original(client: &Client, document: &str, output: Option<PathBuf>) -> anyhow::Result<()> {
    let mut body = client.download(&format!("/api/documents/{}/original", step(document))).await?.bytes_stream();
    const BROKE_OFF: &str = "the file broke off; what was written is not whole";
    let Some(file) = &output else {
        let mut out = tokio::io::stdout();
        while let Some(piece) = body.next().await {
            out.write_all(&piece.context(BROKE_OFF)?).await.map_err(of_stdout)?;
        }
        return out.flush().await.map_err(of_stdout);
    };
    let cannot = || format!("{} cannot be written", file.display());
    let mut out = tokio::fs::File::create(file).await.with_context(cannot)?;
    while let Some(piece) = body.next().await {
        out.write_all(&piece.context(BROKE_OFF)?).await.with_context(cannot)?;
    }
    out.flush().await.with_context(cannot)
}

async fn delete(config: &Config, documents: &[String], purge: bool) -> anyhow::Result<ExitCode> {
    let client = Client::connect(config, Work::None).await?;
    let mut failed = 0;
    for document in documents {
        let path =
            Query::new().with("purge", purge.then_some("true")).on(&format!("/api/documents/{}", step(document)));
        match client.delete(&path).await {
            Ok(said) => answer(&said, |said| say!("{document}  {}", text(said, "message"))),
            Err(error) => {
                failed += 1;
                tell!("graphmill: {}", in_words(&format!("{error:#}")));
            }
        }
    }
    client.close().await;
    Ok(crate::commands::code_of(failed, documents.len()))
}
