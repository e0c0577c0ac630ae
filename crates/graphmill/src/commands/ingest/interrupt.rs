//! What Ctrl-C means: on a terminal people are asked.

use std::io::{BufRead, IsTerminal, Write};

use tokio::task::spawn_blocking;

use crate::output::plural;

/// What is to happen with the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// They go on without us.
    Detach,
    /// They are cancelled.
    Cancel,
    /// We go on following them.
    Follow,
}

/// Asks on a terminal; elsewhere nobody can answer, and nothing is cancelled that was not asked for. `remote`: whether the jobs run in another process. A
/// second Ctrl-C means that the person wants to be gone.
pub(crate) async fn ask(unended: usize, remote: bool) -> Choice {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Choice::Detach;
    }
    let leave = if remote { "[d]etach (the server goes on)" } else { "[d]etach (they go on at the next start)" };
    let jobs = plural(unended as u64, "job");
    // A question of fixed words, which the answer stands behind.
    let _ = write!(std::io::stderr(), "\nNot ended: {jobs}. {leave}, [c]ancel, or [Enter] to go on following? ");
    let _ = std::io::stderr().flush();
    let reading = spawn_blocking(|| {
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer).map(|bytes| (bytes > 0).then_some(answer))
    });
    tokio::select! {
        answer = reading => match answer {
            Ok(Ok(Some(answer))) => meant(&answer),
            // Nobody is there any more.
            _ => Choice::Detach,
        },
        _ = tokio::signal::ctrl_c() => Choice::Detach,
    }
}

fn meant(answer: &str) -> Choice {
    match answer.trim().to_lowercase().as_str() {
        "d" | "detach" => Choice::Detach,
        "c" | "cancel" => Choice::Cancel,
        _ => Choice::Follow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_word_cancels() {
        assert_eq!(meant("c\n"), Choice::Cancel);
        assert_eq!(meant(" Detach "), Choice::Detach);
        for other in ["", "\n", "x", "ca", "dc"] {
            assert_eq!(meant(other), Choice::Follow, "{other:?}");
        }
    }
}
