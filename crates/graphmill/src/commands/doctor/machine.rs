//! Folder, disk, clock, databases, parser.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use graphmill_documents::Format;
use graphmill_documents::child::{ParseEvent, ParserCommand, ParserPool};

use super::Finding;
use crate::assembly::PARSE_CHILD;
use crate::backup::DATABASES;
use crate::client::why;
use crate::config::Config;
use crate::output::size;

/// Less room than this is a warning, in bytes.
const LITTLE_ROOM: u64 = 1 << 30;
/// Clocks that differ by less are taken for equal.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// Whether the data folder can be used, and by whom. The second: whether this user may, so that what lies in it can be looked at.
pub(super) fn folder(config: &Config) -> (Vec<Finding>, bool) {
    let dir = &config.data_dir;
    let shown = dir.display();
    let meta = match std::fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => {
            let finding = Finding::bad("folder", format!("{shown} is no folder; name another one with --data-dir"));
            return (vec![finding], false);
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let above = dir.ancestors().find(|folder| folder.is_dir());
            let finding = match above.map(tempfile_in) {
                Some(Ok(())) => Finding::ok("folder", format!("{shown} is not there yet and will be made")),
                _ => Finding::bad(
                    "folder",
                    format!("{shown} is not there and cannot be made; name another one with --data-dir"),
                ),
            };
            return (vec![finding], true);
        }
        Err(e) => return (vec![not_ours(dir, &e)], false),
    };
    let mut findings = vec![match tempfile_in(dir).and_then(|()| databases_are_ours(dir)) {
        Ok(()) => Finding::ok("folder", format!("{shown} can be written")),
        Err(e) if is_refused(&e) => return (vec![not_ours(dir, &e)], false),
        Err(e) => Finding::bad("folder", format!("{shown} cannot be written ({e}); make it writable for this user")),
    }];
    if meta.permissions().mode() & 0o077 != 0 {
        findings.push(Finding::warning(
            "folder",
            format!("other users of this machine may look into {shown}; keep them out with: chmod 700 {shown}"),
        ));
    }
    (findings, true)
}

fn is_refused(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
}

/// Nothing is wrong with the data of such a folder, as far as this user can tell.
fn not_ours(dir: &std::path::Path, error: &std::io::Error) -> Finding {
    let shown = dir.display();
    let why = match error.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem => "its file system is read-only",
        std::io::ErrorKind::PermissionDenied => "this user may not read and write it",
        _ => return Finding::bad("folder", format!("{shown} cannot be looked at ({error})")),
    };
    Finding::bad(
        "folder",
        format!(
            "{shown}: {why}, so its server, databases and files were not looked at; run this as the user that it belongs to"
        ),
    )
}

/// Whether this user may read and write the databases that are there.
fn databases_are_ours(dir: &std::path::Path) -> std::io::Result<()> {
    for name in DATABASES {
        match std::fs::OpenOptions::new().read(true).write(true).open(dir.join(name)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Makes a file in the folder and removes it.
fn tempfile_in(folder: &std::path::Path) -> std::io::Result<()> {
    let path = folder.join(format!(".graphmill-doctor-{}", std::process::id()));
    std::fs::write(&path, "x")?;
    std::fs::remove_file(&path)
}

/// Whether a server owns the folder and answers.
pub(super) async fn server(config: &Config) -> Finding {
    let running = match graphmill_store::find_running(&config.data_dir) {
        Ok(running) => running,
        Err(e) => return Finding::bad("server", e.to_string()),
    };
    let Some(server) = running else {
        return Finding::ok("server", "none runs on this folder (graphmill serve starts one)");
    };
    let Some(url) = server.url else {
        return Finding::warning("server", format!("process {} is starting", server.pid));
    };
    let client =
        reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).timeout(Duration::from_secs(5)).build();
    let asked = match client {
        Ok(client) => client.get(format!("{url}/readyz")).send().await,
        Err(e) => Err(e),
    };
    match asked {
        Ok(answer) if answer.status().is_success() => {
            Finding::ok("server", format!("process {} is ready at {url}", server.pid))
        }
        Ok(answer) => {
            let body = answer.text().await.unwrap_or_default();
            Finding::bad("server", format!("process {} at {url} is not well: {body}", server.pid))
        }
        Err(e) => Finding::bad(
            "server",
            format!(
                "process {} at {url} does not answer ({}); look at its log, or end it and start it again",
                server.pid,
                why(&e.without_url())
            ),
        ),
    }
}

/// Room for data.
pub(super) fn disk(config: &Config) -> Finding {
    let Some(folder) = config.data_dir.ancestors().find(|folder| folder.is_dir()) else {
        return Finding::bad("disk", "there is no folder to measure");
    };
    let disk = match rustix::fs::statvfs(folder) {
        Ok(disk) => disk,
        Err(e) => return Finding::bad("disk", format!("the room under {} cannot be measured ({e})", folder.display())),
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let least = config.reserve_bytes * 2;
    if free < least {
        let message =
            format!("{} free; uploads are refused and jobs sleep below {}: free some room", size(free), size(least));
        return Finding::bad("disk", message);
    }
    if disk.f_files > 0 && disk.f_favail < 10_000 {
        return Finding::warning("disk", format!("only {} more files can be made on it", disk.f_favail));
    }
    if free < LITTLE_ROOM {
        return Finding::warning("disk", format!("{} free; that is soon used up", size(free)));
    }
    Finding::ok("disk", format!("{} free", size(free)))
}

/// A clock that was set back makes leases and ages wrong.
pub(super) fn clock(config: &Config) -> Finding {
    let now = SystemTime::now();
    let written = |name: &str| std::fs::metadata(config.data_dir.join(name)).and_then(|m| m.modified()).ok();
    let newest = DATABASES.iter().filter_map(|name| written(name)).max();
    match newest.and_then(|newest| newest.duration_since(now).ok()) {
        Some(ahead) if ahead > CLOCK_SLACK => Finding::bad(
            "clock",
            format!("the data folder was written {} s in the future; set the clock of this machine", ahead.as_secs()),
        ),
        _ => Finding::ok("clock", graphmill_core::Clock::now(&graphmill_core::SystemClock).to_string()),
    }
}

/// Whether documents can be parsed: parses one.
pub(super) async fn parser(config: &Config) -> Finding {
    match parse_one(config).await {
        Ok(()) => Finding::ok("parser", "a document was parsed in a process of its own"),
        Err(e) => Finding::bad(
            "parser",
            format!("no document can be parsed ({e:#}); look at the limits parser.memory_mb and ulimit -a"),
        ),
    }
}

async fn parse_one(config: &Config) -> anyhow::Result<()> {
    let pool = ParserPool::new(ParserCommand::this_program([PARSE_CHILD])?, config.parser.clone())?;
    let path = std::env::temp_dir().join(format!("graphmill-doctor-{}.txt", std::process::id()));
    std::fs::write(&path, "The doctor parses this.")?;
    let mut events = pool.parse(&path, Format::Text);
    let mut parsed = Err(anyhow::anyhow!("the parser ended early"));
    while let Some(event) = events.next().await {
        match event {
            Ok(ParseEvent::End(_)) => parsed = Ok(()),
            Ok(_) => {}
            Err(e) => parsed = Err(e.into()),
        }
    }
    std::fs::remove_file(&path)?;
    parsed
}
