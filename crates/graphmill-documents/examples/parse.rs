//! Parses and chunks files in this process and says how long that took: `cargo run --release --example parse -- FILE…`.
//! With `--text` it prints the text instead.

use graphmill_documents::chunk::{ChunkOptions, chunk_pages};
use graphmill_documents::{Collected, Error, detect, document_text, parse_file};
use std::path::Path;
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let print = arguments.iter().any(|argument| argument == "--text");
    for name in arguments.iter().filter(|argument| *argument != "--text") {
        if let Err(error) = show(Path::new(name), print) {
            println!("{name}: {}: {error}", error.code());
        }
    }
}

fn show(path: &Path, print: bool) -> Result<(), Error> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let format = detect(&bytes[..bytes.len().min(graphmill_documents::HEAD_BYTES)], path.to_str())?;
    let start = Instant::now();
    let mut found = Collected::default();
    let info = parse_file(path, format, &mut found)?;
    let parsed = start.elapsed();
    if print {
        println!("{}", document_text(&found.pages));
        return Ok(());
    }
    let start = Instant::now();
    let chunks = chunk_pages(&found.pages, ChunkOptions::default());
    let chunked = start.elapsed();
    let megabytes: usize = found.pages.iter().map(|page| page.text.len()).sum();
    let megabytes = megabytes as f64 / 1e6;
    println!(
        "{}: {} pages, {} chars, {} chunks, {} warnings; parsed in {:.3} s ({:.1} MB/s of text), chunked in {:.3} s ({:.0} MB/s)",
        path.display(),
        info.page_count,
        info.char_count,
        chunks.len(),
        found.warnings.len(),
        parsed.as_secs_f64(),
        megabytes / parsed.as_secs_f64(),
        chunked.as_secs_f64(),
        megabytes / chunked.as_secs_f64(),
    );
    for warning in found.warnings.iter().take(3) {
        println!("  {}", warning.message);
    }
    Ok(())
}
