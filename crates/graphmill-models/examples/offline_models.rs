//! Speed and answers of the offline models on files of one's own: `cargo run --release -p graphmill-models --example offline_models -- FILE…`;
//! with `--show N` the facts of N chunks of each file
//! are printed, `--chunk-size BYTES` cuts otherwise than at 1,000.

use graphmill_models::offline::{extract, lexical_vector};

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let show = number(&mut args, "--show").unwrap_or(0);
    let size = number(&mut args, "--chunk-size").unwrap_or(1000);
    for path in args {
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => return eprintln!("{path}: {error}"),
        };
        let chunks = chunks(&text, size);
        let megabytes = text.len() as f64 / 1e6;
        let start = cpu_seconds();
        let sum: f32 = chunks.iter().map(|c| lexical_vector(c)[0]).sum();
        let embedding = megabytes / (cpu_seconds() - start);
        let start = cpu_seconds();
        let facts: Vec<_> = chunks.iter().map(|c| extract(c)).collect();
        let extraction = megabytes / (cpu_seconds() - start);
        let mentions: usize = facts.iter().map(|f| f.mentions.len()).sum();
        let statements: usize = facts.iter().map(|f| f.statements.len()).sum();
        println!(
            "{path}: {megabytes:.2} MB, {} chunks; embedding {embedding:.1}, extraction {extraction:.1} MB per CPU second; {:.1} mentions and {:.1} \
             statements a chunk (check {sum:.3})",
            chunks.len(),
            mentions as f64 / chunks.len() as f64,
            statements as f64 / chunks.len() as f64,
        );
        for at in (0..show).map(|n| n * chunks.len() / show.max(1)) {
            println!("--- {}\n", chunks[at]);
            for m in &facts[at].mentions {
                println!("  [{}] {} ×{} {}", m.entity_type, m.spelling, m.spans.len(), m.description);
            }
            for s in &facts[at].statements {
                println!("  {} -{}-> {} {}", s.source, s.relation_type, s.target, s.strength_millionths);
            }
            for a in &facts[at].aliases {
                println!("  {} = {}", a.short, a.long);
            }
        }
    }
}

/// CPU time of this thread in seconds: a busy machine does not change it.
fn cpu_seconds() -> f64 {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = spent.split_whitespace().next().and_then(|n| n.parse::<f64>().ok());
    nanoseconds.expect("Linux keeps the statistics of each thread") / 1e9
}

/// The value of an option, which is taken out of `args`.
fn number(args: &mut Vec<String>, name: &str) -> Option<usize> {
    let at = args.iter().position(|a| a == name)?;
    let value = args.drain(at..(at + 2).min(args.len())).nth(1)?;
    value.parse().ok()
}

/// Pieces of about `size` bytes that end at an empty line where there is one.
fn chunks(text: &str, size: usize) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = size.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        if end < rest.len() {
            end = rest[..end].rfind("\n\n").filter(|n| *n > size / 2).map_or(end, |n| n + 2);
        }
        out.push(&rest[..end]);
        rest = &rest[end..];
    }
    out
}
