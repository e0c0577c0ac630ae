//! `graphmill config show`: every setting, its value and where that came from. Secrets are not shown.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::config::{KEYS, Layers};
use crate::output::{Table, answer, fact, kept, prose, text};

/// `config …`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every setting, its value and where that came from
    Show,
}

fn is_secret(name: &str) -> bool {
    name.ends_with("api_key") || name == "token" || name == "graph.password"
}

/// Prints them.
pub(crate) fn show(layers: &Layers) -> ExitCode {
    let mut settings = Map::new();
    for key in KEYS {
        let value = match layers.get(key.name) {
            Some(_) if is_secret(key.name) => "(set)",
            // A URL may hold a password.
            Some(url) if key.name == "graph.url" && url.contains('@') => "(set, with a user)",
            Some(value) => value,
            None => "",
        };
        settings
            .insert(key.name.to_owned(), json!({"value": value, "source": layers.source(key.name), "help": key.help}));
    }
    answer(&Value::Object(settings), |settings| {
        let mut table = Table::new(&[kept("setting"), prose("value", 3), fact("from", 2), prose("what it is", 1)]);
        for (name, setting) in settings.as_object().into_iter().flatten() {
            let cell = |key: &str| text(setting, key).to_owned();
            table.row([name.clone(), cell("value"), cell("source"), cell("help")]);
        }
        table.print();
    });
    ExitCode::SUCCESS
}
