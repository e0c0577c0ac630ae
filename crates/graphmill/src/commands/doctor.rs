//! `graphmill doctor`: looks at what graphmill depends on and says what to do.

pub(crate) mod data;
mod machine;
mod providers;
mod remote;

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::Config;
use crate::output::{Style, answer, in_words, styled_line, text};

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    state: State,
    message: String,
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it should be.
    Ok,
    /// Works, and may not for long, or not as meant.
    Warning,
    /// Does not work.
    Bad,
}

impl Finding {
    fn ok(what: &'static str, message: impl Into<String>) -> Self {
        Self { what, state: State::Ok, message: in_words(&message.into()) }
    }

    fn warning(what: &'static str, message: impl Into<String>) -> Self {
        Self { what, state: State::Warning, message: in_words(&message.into()) }
    }

    fn bad(what: &'static str, message: impl Into<String>) -> Self {
        Self { what, state: State::Bad, message: in_words(&message.into()) }
    }

    fn word(&self) -> &'static str {
        match self.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Bad => "bad",
        }
    }
}

/// Looks at everything; exit code 3 when something does not work or is doubtful. With `--server` at that server alone: its machine is another.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    // What asks servers is built without a TLS provider of its own choice.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut findings = vec![Finding::ok("settings", "they can be read (graphmill config show lists them)")];
    if let Some(server) = &config.client.server {
        findings.extend(remote::look(&config, server).await);
    } else {
        let (folder, ours) = machine::folder(&config);
        findings.extend(folder);
        if ours {
            findings.push(machine::server(&config).await);
        }
        findings.push(machine::disk(&config));
        findings.push(machine::clock(&config));
        if ours {
            findings.extend(data::look(&config));
        }
        findings.push(machine::parser(&config).await);
        findings.extend(providers::look(&config).await);
    }
    let list: Vec<Value> =
        findings.iter().map(|f| json!({"what": f.what, "state": f.word(), "message": f.message})).collect();
    answer(&Value::Array(list), |list| list.as_array().into_iter().flatten().for_each(show));
    let found = findings.iter().any(|finding| finding.state != State::Ok);
    Ok(if found { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

fn show(finding: &Value) {
    let state = text(finding, "state");
    let style = match state {
        "ok" => Style::Green,
        "warning" => Style::Yellow,
        _ => Style::Red,
    };
    let rest = format!(" {:<12} {}", text(finding, "what"), text(finding, "message"));
    styled_line(&[(style, &format!("{state:<8}")), (Style::Plain, &rest)]);
}
