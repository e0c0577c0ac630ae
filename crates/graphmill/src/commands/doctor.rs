//! `graphmill doctor`: looks at what graphmill depends on and says what to do.

mod machine;
mod providers;

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::Config;
use crate::output::{answer, colours, say, text};

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
        Self { what, state: State::Ok, message: message.into() }
    }

    fn warning(what: &'static str, message: impl Into<String>) -> Self {
        Self { what, state: State::Warning, message: message.into() }
    }

    fn bad(what: &'static str, message: impl Into<String>) -> Self {
        Self { what, state: State::Bad, message: message.into() }
    }

    fn word(&self) -> &'static str {
        match self.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Bad => "bad",
        }
    }
}

/// Looks at everything; exit code 1 when something does not work, 3 when something is doubtful.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    // What asks servers is built without a TLS provider of its own choice.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut findings = vec![Finding::ok("settings", "they can be read (graphmill config show lists them)")];
    findings.extend(machine::folder(&config));
    findings.push(machine::server(&config).await);
    findings.push(machine::disk(&config));
    findings.push(machine::clock(&config));
    findings.extend(machine::databases(&config));
    findings.push(machine::parser(&config).await);
    findings.extend(providers::look(&config).await);
    let list: Vec<Value> =
        findings.iter().map(|f| json!({"what": f.what, "state": f.word(), "message": f.message})).collect();
    answer(&Value::Array(list), |list| list.as_array().into_iter().flatten().for_each(show));
    let worst = |state| findings.iter().any(|finding| finding.state == state);
    Ok(match (worst(State::Bad), worst(State::Warning)) {
        (true, _) => ExitCode::from(1),
        (false, true) => ExitCode::from(3),
        (false, false) => ExitCode::SUCCESS,
    })
}

fn show(finding: &Value) {
    let state = text(finding, "state");
    let colour = match state {
        "ok" => "32",
        "warning" => "33",
        _ => "31",
    };
    let (on, off) = if colours() { (format!("\u{1b}[{colour}m"), "\u{1b}[0m") } else { (String::new(), "") };
    say!("{on}{state:<8}{off} {:<12} {}", text(finding, "what"), text(finding, "message"));
}
