//! Whether the data of a folder is whole: each database, its schema, and that what one names is there. Reads; a running server's too.

use std::path::Path;

use graphmill_graph::embedded::EmbeddedGraph;
use graphmill_sqlite::Snapshot;
use graphmill_store::{Blobs, SqliteContentCache, SqliteJobStore};

use super::Finding;
use crate::backup::{BLOBS, CACHE, GRAPH, JOBS};
use crate::config::Config;
use crate::output::plural;

/// Names of missing files that are said.
const SHOWN: usize = 3;

/// Looks at all of it.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let dir = &config.data_dir;
    let mut findings = Vec::new();
    let mut open = |name, known| match database(dir, name, known) {
        Some((finding, snapshot)) => {
            findings.push(finding);
            snapshot
        }
        None => None,
    };
    // Jobs first: what they have as published was published in the graph before.
    let jobs = open(JOBS, i64::from(SqliteJobStore::SCHEMA_VERSION));
    let graph = open(GRAPH, EmbeddedGraph::SCHEMA_VERSION);
    open(CACHE, i64::from(SqliteContentCache::SCHEMA_VERSION));
    if !dir.join(JOBS).exists() && dir.join(GRAPH).exists() {
        findings.push(Finding::bad(
            JOBS,
            "is missing although graph.db is there; put it back, or restore a backup: a server would make an empty one and refuse the graph",
        ));
    }
    match lost_graph(dir) {
        Ok(None) => {}
        Ok(Some(lost)) => findings.push(Finding::bad(GRAPH, lost)),
        // Said of the database itself already.
        Err(_) => {}
    }
    if jobs.is_some() || graph.is_some() {
        findings.extend(blobs(dir));
    }
    findings
}

/// A database that is there, and a snapshot of it if what it holds can be looked at.
fn database(dir: &Path, name: &'static str, known: i64) -> Option<(Finding, Option<Snapshot>)> {
    let path = dir.join(name);
    if !path.exists() {
        return None;
    }
    let looked = || {
        let snapshot = Snapshot::begin(&path)?;
        let (schema, fault) = (snapshot.schema_version()?, snapshot.fault()?);
        Ok::<_, anyhow::Error>((snapshot, schema, fault))
    };
    Some(match looked() {
        Ok((_, _, Some(found))) => {
            let advice = "stop the server, keep a copy of the folder, and restore a backup";
            (Finding::bad(name, format!("is damaged ({found}); {advice}")), None)
        }
        Ok((_, schema, None)) if schema > known => {
            let message = format!(
                "was written by a newer graphmill (schema {schema}; this one knows {known}) and cannot be served by this one; run that version, or \
                 restore a backup that was made before the upgrade"
            );
            (Finding::bad(name, message), None)
        }
        Ok((_, schema, None)) if schema < known => {
            let message = format!("is whole; its schema {schema} is brought up to {known} at the next start");
            (Finding::ok(name, message), None)
        }
        Ok((snapshot, ..)) => (Finding::ok(name, "is whole"), Some(snapshot)),
        Err(e) => {
            (Finding::bad(name, format!("cannot be read ({e}); keep a copy of the folder, and restore a backup")), None)
        }
    })
}

/// What is wrong when jobs are recorded and the graph that they filled is gone: its file was removed or moved away. A server makes an empty one.
pub(crate) fn lost_graph(dir: &Path) -> anyhow::Result<Option<String>> {
    if !dir.join(JOBS).exists() {
        return Ok(None);
    }
    let ingested = SqliteJobStore::ingested_in(&Snapshot::begin(&dir.join(JOBS))?)?;
    if ingested.jobs == 0 && ingested.documents == 0 {
        return Ok(None);
    }
    let graph = dir.join(GRAPH);
    let what = if !graph.exists() {
        "is missing"
    } else if EmbeddedGraph::highest_seq_in(&Snapshot::begin(&graph)?)?.0 == 0 {
        "is empty"
    } else {
        return Ok(None);
    };
    Ok(Some(format!(
        "{what} although {} and {} published: was it removed? Put it back or restore a backup; or start the server and ingest the documents again from \
         their stored originals: POST /api/jobs with {{\"job_type\":\"ingestion\",\"params\":{{\"document_id\":\"doc-…\"}}}} for each. Do not clean up jobs \
         before that, since cleanup removes originals that no document names",
        are(ingested.jobs, "ingestion", "completed"),
        are(ingested.documents, "document", "")
    )))
}

fn are(n: u64, thing: &str, done: &str) -> String {
    let verb = match (n, done) {
        (1, "") => "is",
        (_, "") => "are",
        (1, _) => "has",
        _ => "have",
    };
    format!("{} {verb} {done}", plural(n, thing)).trim_end().to_owned()
}

/// Files that the databases name.
fn blobs(dir: &Path) -> Option<Finding> {
    let missing = match missing_blobs(dir) {
        Ok(missing) => missing,
        Err(e) => return Some(Finding::bad(BLOBS, format!("what must be there cannot be read ({e})"))),
    };
    // A server that runs may have removed some since they were named: those are named no more.
    let still = if missing.1.is_empty() { Vec::new() } else { missing_blobs(dir).map(|(_, m)| m).unwrap_or_default() };
    let lost: Vec<&String> = missing.1.iter().filter(|key| still.contains(key)).collect();
    if lost.is_empty() {
        return (missing.0 > 0).then(|| Finding::ok(BLOBS, format!("{} named, all there", plural(missing.0, "file"))));
    }
    let some: Vec<&str> = lost.iter().take(SHOWN).map(|key| key.as_str()).collect();
    let more = if lost.len() > some.len() { ", …" } else { "" };
    Some(Finding::bad(
        BLOBS,
        format!(
            "{} that jobs or documents name {} not in {} ({}{more}); put them back or restore a backup, or ingest these documents again",
            plural(lost.len() as u64, "file"),
            if lost.len() == 1 { "is" } else { "are" },
            dir.join(BLOBS).display(),
            some.join(", ")
        ),
    ))
}

/// How many files the databases name, and those of them that are not there.
fn missing_blobs(dir: &Path) -> anyhow::Result<(u64, Vec<String>)> {
    let mut keys = Vec::new();
    let begin = |name: &str, known: i64| {
        let path = dir.join(name);
        let snapshot = path.exists().then(|| Snapshot::begin(&path)).transpose()?;
        anyhow::Ok(match snapshot {
            Some(snapshot) if snapshot.schema_version()? == known => Some(snapshot),
            _ => None,
        })
    };
    if let Some(jobs) = begin(JOBS, i64::from(SqliteJobStore::SCHEMA_VERSION))? {
        keys.extend(SqliteJobStore::blobs_named_in(&jobs)?);
    }
    if let Some(graph) = begin(GRAPH, EmbeddedGraph::SCHEMA_VERSION)? {
        keys.extend(EmbeddedGraph::blobs_named_in(&graph)?);
    }
    keys.sort_unstable();
    keys.dedup();
    let all = keys.len() as u64;
    let root = dir.join(BLOBS);
    keys.retain(|key| !Blobs::path_under(&root, key).is_ok_and(|path| path.exists()));
    Ok((all, keys))
}
