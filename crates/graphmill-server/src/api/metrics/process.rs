//! Memory, processor time and open files of this process, as Linux tells them. What a system does not tell is left out.

use graphmill_core::Timestamp;
use graphmill_core::metrics::Readings;

/// What `/proc/self` says.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

/// Adds what is known.
pub(super) fn read(started: Timestamp, readings: &Readings) {
    let seconds = started.as_millis() as f64 / 1000.0;
    readings.gauge("graphmill_process_start_time_seconds", "When the server started, in seconds since 1970.", seconds);
    if let Some(stat) = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| parse(&text)) {
        let resident = stat.resident_pages * rustix::param::page_size() as u64;
        let cpu = stat.cpu_ticks as f64 / rustix::param::clock_ticks_per_second().max(1) as f64;
        readings.gauge("graphmill_process_resident_memory_bytes", "Memory that is in RAM.", resident as f64);
        readings.gauge("graphmill_process_virtual_memory_bytes", "Address space.", stat.virtual_bytes as f64);
        readings.gauge("graphmill_process_threads", "Threads.", stat.threads as f64);
        let help = "Processor time of the server without its parser processes.";
        readings.counter("graphmill_process_cpu_seconds_total", help, cpu);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the folder that is being read.
        let open = files.count().saturating_sub(1);
        readings.gauge("graphmill_process_open_files", "Open files and sockets.", open as f64);
    }
}

/// Fields of `proc_pid_stat(5)`. The second, the name, may hold spaces and brackets: what follows the last bracket is counted.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        cpu_ticks: field(14)? + field(15)?,
        threads: field(20)?,
        virtual_bytes: field(23)?,
        resident_pages: field(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_changes_nothing() {
        let text =
            "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 5 0 900 1048576 250 18446744073709551615 1\n";
        let expected = Stat { cpu_ticks: 42, threads: 5, virtual_bytes: 1_048_576, resident_pages: 250 };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse("7 (a"), None);
        assert_eq!(parse("7 (a) S 1"), None);
    }
}
