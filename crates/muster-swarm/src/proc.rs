//! What the system says of a process and of this machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

/// Lets this process open as many files as its user may, and returns how many that are.
pub(crate) fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // A limit that cannot be raised shows in the first connection that fails.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Resident memory of a process in bytes.
pub(crate) fn rss(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no resident memory")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("resident memory is no number")?;
    Ok(kib * 1024)
}

/// Processor time of a process in seconds, children not counted.
pub(crate) fn cpu_secs(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    let (_, fields) = stat.rsplit_once(')').context("the kernel says something else")?;
    let ticks = |index: usize| fields.split_whitespace().nth(index)?.parse::<u64>().ok();
    let both = ticks(11).zip(ticks(12)).context("the kernel says something else")?;
    Ok((both.0 + both.1) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The machine a card was measured on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ThisMachine {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) kernel: String,
    pub(crate) memory_gib: f64,
    pub(crate) file_system: String,
    pub(crate) descriptors: u64,
    /// Load of the minute before the run began: above zero, somebody else was at work.
    pub(crate) load_before: String,
}

impl ThisMachine {
    pub(crate) fn look(descriptors: u64) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let of = |text: &str, field: &str| {
            let line = text.lines().find(|line| line.starts_with(field))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = of(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: of(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_gib: (kib / 1024.0 / 1024.0 * 10.0).round() / 10.0,
            file_system: file_system(&std::env::temp_dir()),
            descriptors,
            load_before: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

/// The kind of file system the databases are on.
fn file_system(folder: &Path) -> String {
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_used_the_processor() {
        let pid = std::process::id();
        assert!(rss(pid).unwrap() > 1024 * 1024);
        assert!(cpu_secs(pid).unwrap() >= 0.0);
        assert!(rss(u32::MAX).is_err());
        assert!(ThisMachine::look(1).cores >= 1);
    }
}
