//! The parser pool against real children.

use graphmill_documents::child::{Fault, PageStream, ParseEvent, ParserCommand, ParserLimits, ParserPool};
use graphmill_documents::{DocumentInfo, Error, Format, Page, document_text};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn limits() -> ParserLimits {
    ParserLimits { children: 2, page: Duration::from_secs(20), memory_bytes: 512 << 20, ..ParserLimits::default() }
}

fn pool(limits: ParserLimits) -> ParserPool {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_graphmill-parse-child"));
    ParserPool::new(ParserCommand { program, args: Vec::new() }, limits).expect("a thread")
}

fn text_file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a temporary file");
    path
}

async fn collect(mut stream: PageStream) -> Result<(Vec<Page>, DocumentInfo), Error> {
    let mut pages = Vec::new();
    while let Some(event) = stream.next().await {
        match event? {
            ParseEvent::Page(page) => pages.push(page),
            ParseEvent::End(info) => {
                assert!(stream.next().await.is_none(), "nothing follows the end");
                return Ok((pages, info));
            }
            ParseEvent::Opened { .. } | ParseEvent::Warning(_) => {}
        }
    }
    panic!("the stream ended without an end");
}

async fn fails(pool: &ParserPool, path: &Path, fault: Fault) -> Error {
    pool.inject(fault);
    collect(pool.parse(path, Format::Text)).await.expect_err("the document fails")
}

async fn works(pool: &ParserPool, path: &Path) {
    let (pages, info) = collect(pool.parse(path, Format::Text)).await.expect("the next document is parsed");
    assert_eq!((document_text(&pages).as_str(), info.page_count), ("Good text.\n", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_a_child_costs_one_document() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = text_file(&folder, "good.txt", "Good text.\n");
    let pool = pool(limits());
    works(&pool, &path).await;
    assert_eq!(pool.idle_children(), 1);

    let crashed = |error: Error, words: &str| match &error {
        Error::ParserCrashed { cause } if cause.contains(words) => {}
        _ => panic!("wanted a crash with {words:?}, got {error:?}"),
    };
    crashed(fails(&pool, &path, Fault::Abort).await, "signal 6");
    works(&pool, &path).await;
    crashed(fails(&pool, &path, Fault::OverflowStack).await, "stack overflow");
    works(&pool, &path).await;
    crashed(fails(&pool, &path, Fault::Panic).await, "panic: a fault was asked for");
    works(&pool, &path).await;
    crashed(fails(&pool, &path, Fault::Exit).await, "exit code 7");
    works(&pool, &path).await;
    crashed(fails(&pool, &path, Fault::Kill).await, "signal 9; the machine may be out of memory");
    works(&pool, &path).await;
    let error = fails(&pool, &path, Fault::EatMemory).await;
    assert_eq!(error, Error::ParserMemory { limit_bytes: 512 << 20 });
    works(&pool, &path).await;
    let error = fails(&pool, &path, Fault::Garbage).await;
    assert!(matches!(error, Error::ParserProtocol { .. }), "{error:?}");
    works(&pool, &path).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_hangs_is_stopped_at_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = text_file(&folder, "good.txt", "Good text.\n");
    let pool = pool(ParserLimits { page: Duration::from_secs(1), ..limits() });
    let start = Instant::now();
    let error = fails(&pool, &path, Fault::Hang).await;
    assert_eq!(error, Error::ParserTimeout { page: 1, limit_seconds: 1 });
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    works(&pool, &path).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processor_time_is_limited() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = text_file(&folder, "good.txt", "Good text.\n");
    let pool = pool(ParserLimits { cpu: Duration::from_secs(1), ..limits() });
    let error = fails(&pool, &path, Fault::Spin).await;
    assert_eq!(error, Error::ParserCpu { limit_seconds: 1 });
    works(&pool, &path).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_stream_stops_its_child_within_a_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = text_file(&folder, "good.txt", "Good text.\n");
    let pool = pool(ParserLimits { children: 1, ..limits() });
    pool.inject(Fault::Hang);
    let mut hung = pool.parse(&path, Format::Text);
    assert!(matches!(hung.next().await, Some(Ok(ParseEvent::Warning(_)))), "it says that it hangs");
    drop(hung);
    // The only place is free again, or this would wait for the page limit.
    let start = Instant::now();
    works(&pool, &path).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

/// Files that whoever started this test left open for all programs: those without the flag O_CLOEXEC.
fn inherited_by_us() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fdinfo").expect("proc");
    let names = entries.flatten().filter_map(|entry| {
        let info = std::fs::read_to_string(entry.path()).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = u64::from_str_radix(flags.trim(), 8).ok()?;
        (flags & 0o2_000_000 == 0).then(|| entry.file_name().display().to_string())
    });
    names.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_has_nothing_but_its_pipes_and_the_document() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = text_file(&folder, "good.txt", "Good text.\n");
    let open_elsewhere = std::fs::File::open(&path).expect("a file of the parent");
    let pool = pool(limits());
    pool.inject(Fault::Inspect);
    let (pages, _) = collect(pool.parse(&path, Format::Text)).await.expect("parsed");
    drop(open_elsewhere);
    let report = &pages[0].text;
    let left_open = inherited_by_us();
    for line in report.lines().filter_map(|line| line.strip_prefix("fd ")) {
        let (number, target) = line.split_once(" -> ").expect("a number and a target");
        let own = ["0", "1", "2"].contains(&number) && target.starts_with("pipe:");
        // The listing itself holds a file open, that of /proc.
        assert!(own || target.starts_with("/proc/") || left_open.contains(&number.to_owned()), "{report}");
    }
    assert!(report.contains("environment: 0\n") && report.contains("folder: /\n"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn children_are_used_again_and_not_kept_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = text_file(&folder, "good.txt", "Good text.\n");
    let pool = pool(ParserLimits { idle: Duration::from_millis(300), documents_per_child: 3, ..limits() });
    works(&pool, &path).await;
    works(&pool, &path).await;
    assert_eq!(pool.idle_children(), 1);
    works(&pool, &path).await;
    assert_eq!(pool.idle_children(), 0, "the third document was its last");
    works(&pool, &path).await;
    let start = Instant::now();
    while pool.idle_children() > 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "an idle child is kept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_documents_share_few_children() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = text_file(&folder, "good.txt", "Good text.\n");
    let pool = pool(limits());
    let mut tasks = Vec::new();
    for number in 0..40 {
        let (pool, path) = (pool.clone(), path.clone());
        tasks.push(tokio::spawn(async move {
            if number % 7 == 3 {
                pool.inject(Fault::Abort);
            }
            collect(pool.parse(&path, Format::Text)).await.is_ok()
        }));
    }
    let mut good = 0;
    for task in tasks {
        good += usize::from(task.await.expect("no panic"));
    }
    assert_eq!(good, 34, "the six that crash, and no other");
    assert!(pool.idle_children() <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_or_is_no_parser_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = text_file(&folder, "good.txt", "Good text.\n");
    let of = |program: &str| {
        let command = ParserCommand { program: PathBuf::from(program), args: vec!["x".into()] };
        ParserPool::new(command, limits()).expect("a thread")
    };
    let error = collect(of("/nonexistent/parser").parse(&path, Format::Text)).await.expect_err("no program");
    assert!(matches!(&error, Error::ParserStart { program, .. } if program == "/nonexistent/parser"), "{error:?}");
    assert!(error.is_retryable());
    let error = collect(of("/bin/echo").parse(&path, Format::Text)).await.expect_err("no parser");
    assert!(matches!(error, Error::ParserCrashed { .. } | Error::ParserProtocol { .. }), "{error:?}");
    let missing = folder.path().join("missing.txt");
    let error = collect(pool(limits()).parse(&missing, Format::Text)).await.expect_err("no file");
    assert!(matches!(error, Error::Read { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_waited_for_and_gets_every_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = "A line of text that is repeated until there are many megabytes of it.\n";
    let text = line.repeat(200_000);
    let path = text_file(&folder, "long.txt", &text);
    let pool = pool(ParserLimits { page: Duration::from_secs(2), ..limits() });
    let mut stream = pool.parse(&path, Format::Text);
    let mut pages = Vec::new();
    while let Some(event) = stream.next().await {
        if pages.len() == 2 {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        if let ParseEvent::Page(page) = event.expect("no error, however slow the reader") {
            assert!(page.text.len() < 2 << 20);
            pages.push(page);
        }
    }
    assert!(pages.len() > 5 && pages.iter().all(|page| page.number == 1));
    assert!(document_text(&pages) == text, "the text is whole");
}

/// The children of a process, from the fourth field of their `stat`.
fn children_of(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name of the program, in parentheses, may hold anything.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_ascii_whitespace().nth(1) == Some(&parent.to_string())
    })
    .collect()
}

#[test]
fn a_hanging_child_dies_with_its_killed_parent() {
    let mut host = std::process::Command::new(env!("CARGO_BIN_EXE_graphmill-parse-child"))
        .arg("host")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the host");
    let mut line = String::new();
    let mut said = std::io::BufReader::new(host.stdout.take().expect("a pipe"));
    said.read_line(&mut line).expect("a line");
    assert!(line.contains("hangs"), "{line}");
    let children = children_of(host.id());
    assert_eq!(children.len(), 1);
    // Hanging, it does not see the end of its input.
    host.kill().expect("killed");
    host.wait().expect("buried");
    // Its new parent may be slow to bury it: a dead process has no command line.
    let child = format!("/proc/{}/cmdline", children[0]);
    let start = Instant::now();
    while !std::fs::read(&child).unwrap_or_default().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(1), "the child outlives its parent");
        std::thread::sleep(Duration::from_millis(10));
    }
}
