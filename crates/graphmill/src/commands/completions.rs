//! `graphmill completions SHELL`: completion script for a shell.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::Cli;

/// Prints the script.
pub(crate) fn run(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "graphmill", &mut script);
    crate::output::as_it_is(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}
