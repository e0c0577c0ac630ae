//! What commands print. A reader that has seen enough (`graphmill stats | head -1`) ends the command quietly.

use std::fmt::Arguments;
use std::io::Write;

/// Prints a line to standard output; a closed pipe ends the process, as it ends other Unix commands.
pub(crate) fn line(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.write_all(b"\n")) {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            eprintln!("graphmill: standard output cannot be written: {error}");
        }
        std::process::exit(1);
    }
}

/// `println!` by way of [`line()`].
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}
pub(crate) use say;
