//! A server that was named: does it answer, is it well, does it take the key.

use super::Finding;
use crate::assembly::Work;
use crate::client::{Client, Refused};
use crate::config::Config;
use crate::output::text;

/// Looks at it; at nothing of this machine, which it need not run on.
pub(super) async fn look(config: &Config, server: &str) -> Vec<Finding> {
    let client = match Client::connect(config, Work::None).await {
        Ok(client) => client,
        Err(e) => return vec![Finding::bad("server", format!("{server} cannot be asked: {e:#}"))],
    };
    let mut findings = vec![match client.get("/readyz").await {
        Ok(_) => Finding::ok("server", format!("{server} is ready")),
        Err(e) if e.is::<Refused>() => Finding::bad("server", format!("{server} is not well: {e:#}")),
        Err(e) => return vec![Finding::bad("server", format!("{e:#}"))],
    }];
    match client.get("/version").await {
        Ok(version) if text(&version, "version") == env!("CARGO_PKG_VERSION") => {
            findings.push(Finding::ok("version", format!("both are {}", env!("CARGO_PKG_VERSION"))));
        }
        Ok(version) => findings.push(Finding::warning(
            "version",
            format!(
                "the server is {}, this command {}; use the same",
                text(&version, "version"),
                env!("CARGO_PKG_VERSION")
            ),
        )),
        Err(e) => findings.push(Finding::warning("version", format!("the server does not say: {e:#}"))),
    }
    findings.push(match client.get("/api/jobs?limit=1").await {
        Ok(_) => Finding::ok("key", "the server answers what it is asked"),
        Err(e) => Finding::bad("key", format!("the server refuses to answer: {e:#}")),
    });
    findings.push(Finding::ok(
        "machine",
        "folder, disk, clock, databases and model servers are its machine's: run graphmill doctor there, without --server",
    ));
    client.close().await;
    findings
}
