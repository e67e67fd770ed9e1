//! What the machine is, as it reports it: shown with its origin, never trusted (DESIGN §2, *reported*).

#[cfg(test)]
mod tests;

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::thread;

use muster_ids::Timestamp;
use muster_wire::bounds::Whole;
use muster_wire::enroll::{Facts, Heartbeat};
use muster_wire::text::{Hostname, Line, Tag};

use crate::visible;

const GIB: u64 = 1 << 30;
const KIB_PER_MIB: u64 = 1024;
const UNNAMED: &str = "unnamed";
/// Documentation addresses (RFC 5737, RFC 3849): connecting a datagram socket to them selects a route, nothing more.
const ROUTE_PROBES: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];

/// Reads the facts below `root`, which is `/` except in tests; `restic` is its version, if it is installed.
pub fn read(root: &Path, restic: Option<&str>) -> Facts {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let kernel = fs::read_to_string(root.join("proc/sys/kernel/osrelease")).ok();
    let versions =
        [("agent", Some(env!("CARGO_PKG_VERSION"))), ("kernel", kernel.as_deref()), ("restic", restic)];
    Facts {
        os: operating_system(root),
        arch: Line::parse(std::env::consts::ARCH).expect("an architecture is a short word"),
        cpu_cores: Whole::clamped(cores),
        memory_mb: Whole::clamped(memory_kib(root).unwrap_or(0) / KIB_PER_MIB),
        disk_gb: Whole::clamped(disk(root).map_or(0, |disk| disk.size)),
        address: primary_address(),
        versions: versions
            .into_iter()
            .filter_map(|(name, version)| Some((Tag::parse(name).ok()?, visible::line(version?)?)))
            .collect(),
    }
}

/// Reads the machine's own name, made to fit RFC 1123.
pub fn hostname(root: &Path) -> Hostname {
    let raw = fs::read_to_string(root.join("proc/sys/kernel/hostname")).unwrap_or_default();
    fitted_hostname(&raw)
}

/// Reads what a heartbeat carries: load, free disk and the machine's clock.
pub fn heartbeat(root: &Path, now: Timestamp) -> Heartbeat {
    Heartbeat {
        load_percent: load_percent(root).map(Whole::clamped),
        disk_free_gb: disk(root).map(|disk| Whole::clamped(disk.free)),
        clock: Some(now),
    }
}

fn operating_system(root: &Path) -> Line<128> {
    let release = fs::read_to_string(root.join("etc/os-release"))
        .or_else(|_| fs::read_to_string(root.join("usr/lib/os-release")))
        .unwrap_or_default();
    let named = |key| release_value(&release, key).and_then(|value| visible::line(&value));
    named("PRETTY_NAME")
        .or_else(|| named("NAME"))
        .unwrap_or_else(|| Line::parse("Linux").expect("a word is a line"))
}

/// Reads one assignment of os-release(5), whose values are quoted as in a shell.
fn release_value(release: &str, key: &str) -> Option<String> {
    let assigned = |line: &str| Some(line.trim().strip_prefix(key)?.strip_prefix('=')?.to_owned());
    let raw = release.lines().rev().find_map(assigned)?;
    let quoted = ['"', '\''].into_iter().find_map(|quote| raw.strip_prefix(quote)?.strip_suffix(quote));
    let mut value = String::new();
    let mut characters = quoted.unwrap_or(&raw).chars();
    while let Some(c) = characters.next() {
        value.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    Some(value)
}

fn memory_kib(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

struct Disk {
    size: u64,
    free: u64,
}

/// Returns size and free space of the file system at `root`, in GiB.
fn disk(root: &Path) -> Option<Disk> {
    let stat = rustix::fs::statvfs(root).ok()?;
    let gib = |blocks: u64| blocks.saturating_mul(stat.f_frsize) / GIB;
    Some(Disk { size: gib(stat.f_blocks), free: gib(stat.f_bavail) })
}

fn load_percent(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/loadavg")).ok()?;
    let load: f64 = text.split(' ').next()?.parse().ok()?;
    (load.is_finite() && load >= 0.0).then_some((load * 100.0).round() as u64)
}

fn primary_address() -> Option<IpAddr> {
    ROUTE_PROBES.into_iter().find_map(|(local, probe)| {
        let socket = UdpSocket::bind(local).ok()?;
        socket.connect(probe).ok()?;
        let address = socket.local_addr().ok()?.ip();
        (!address.is_unspecified()).then_some(address)
    })
}

fn fitted_hostname(raw: &str) -> Hostname {
    let labels = raw.trim().split('.').filter_map(|label| {
        let fitted: String =
            label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
        let fitted = fitted.trim_matches('-').to_owned();
        (!fitted.is_empty()).then_some(fitted)
    });
    let mut name = String::new();
    for label in labels {
        if name.len() + 1 + label.len() > 253 {
            break;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&label);
    }
    let unnamed = || Hostname::parse(UNNAMED).expect("a word is a host name");
    Hostname::parse(&name).unwrap_or_else(|_| unnamed())
}
