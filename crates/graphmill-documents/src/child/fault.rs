//! Ways for a child to go wrong on demand, for tests. They are asked for by the request, never by a document.

use serde::{Deserialize, Serialize};
use std::io::Write;

/// How the child goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Aborts the process.
    Abort,
    /// Recurses until the stack is used up.
    OverflowStack,
    /// Allocates until no more is given.
    EatMemory,
    /// Gives a warning that it hangs, and never anything more. Uses no processor time.
    Hang,
    /// Never answers, and uses all the processor time it gets.
    Spin,
    /// Writes to its output what is no frame.
    Garbage,
    /// Ends without a word.
    Exit,
    /// Panics.
    Panic,
    /// Answers with a page that says what the process has: open files, environment, folder.
    Inspect,
    /// Is killed from outside, as the system does when memory runs out.
    Kill,
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "abort" => Self::Abort,
            "overflow_stack" => Self::OverflowStack,
            "eat_memory" => Self::EatMemory,
            "hang" => Self::Hang,
            "spin" => Self::Spin,
            "garbage" => Self::Garbage,
            "exit" => Self::Exit,
            "panic" => Self::Panic,
            "inspect" => Self::Inspect,
            "kill" => Self::Kill,
            _ => return Err(format!("unknown fault {name:?}")),
        })
    }
}

impl Fault {
    pub(super) fn strike(self, output: &mut impl Write) {
        match self {
            Self::Abort => std::process::abort(),
            Self::OverflowStack => {
                std::hint::black_box(recurse(0));
            }
            Self::EatMemory => {
                let mut eaten = Vec::new();
                loop {
                    eaten.push(std::hint::black_box(vec![1_u8; 16 << 20]));
                }
            }
            Self::Hang => {
                let warning = super::protocol::Answer::Warning(crate::Warning::new("hangs", "a fault was asked for"));
                let _ = super::protocol::write_frame(output, &warning);
                loop {
                    std::thread::park();
                }
            }
            Self::Spin => loop {
                std::hint::spin_loop();
            },
            Self::Garbage => {
                let _ = output.write_all(b"thread 'main' says something that is no frame at all");
                let _ = output.flush();
            }
            Self::Exit => std::process::exit(7),
            Self::Panic => panic!("a fault was asked for"),
            Self::Inspect => {
                let page = crate::Page::plain(1, inspect());
                let _ = super::protocol::write_frame(output, &super::protocol::Answer::Page(page));
            }
            Self::Kill => {
                let own = rustix::process::getpid();
                let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
            }
        }
    }
}

#[expect(unconditional_recursion, reason = "the stack is to overflow")]
fn recurse(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + room[(depth % 64) as usize]
}

fn inspect() -> String {
    let files = std::fs::read_dir("/proc/self/fd").map(|entries| {
        let names = entries.flatten().filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            Some(format!("fd {} -> {}", entry.file_name().display(), target.display()))
        });
        names.collect::<Vec<_>>().join("\n")
    });
    let folder = std::env::current_dir().map(|folder| folder.display().to_string());
    format!(
        "{}\nenvironment: {}\nfolder: {}\n",
        files.unwrap_or_default(),
        std::env::vars_os().count(),
        folder.unwrap_or_default()
    )
}
