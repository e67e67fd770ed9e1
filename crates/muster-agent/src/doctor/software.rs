//! What the agent needs beside itself: restic, the owner's policy, something that starts it.

use std::path::Path;
use std::time::Duration;

use super::Check;
use crate::machine::Machine;
use crate::policy::{Denied, JobKind, Policy};
use crate::restic::{Limits, Restic};

const RESTIC: &str = "restic";
const POLICY: &str = "policy";
const UNIT: &str = "service";
const VERSION_WITHIN: Duration = Duration::from_secs(5);
/// The oldest restic whose words and exit codes are known.
const OLDEST: (u32, u32) = (0, 14);
const UNIT_FOLDERS: [&str; 4] =
    ["etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"];
const UNIT_FILE: &str = "muster-agent.service";

pub(super) async fn restic(machine: &Machine, folder: &Path) -> Check {
    let about = machine.restic.display();
    let limits = Limits { answer: VERSION_WITHIN, grace: Duration::from_secs(1), ..Limits::default() };
    let restic = Restic { program: machine.restic.clone(), cache: folder.join("restic-cache"), limits };
    match restic.version().await {
        Ok(version) if is_supported(&version) => Check::ok(RESTIC, about, format!("version {version}")),
        Ok(version) => Check::warn(
            RESTIC,
            about,
            format!(
                "version {version} is not one that is tested: install 0.14 or later, or backups may fail"
            ),
        ),
        Err(failure) => Check::warn(RESTIC, about, format!("no backup is possible: {}", failure.in_words())),
    }
}

fn is_supported(version: &str) -> bool {
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= OLDEST,
        _ => false,
    }
}

pub(super) fn policy(path: &Path) -> Check {
    let policy = Policy::read(path);
    if let Err(denied @ Denied::Broken { .. }) = policy.judge(JobKind::Backup.as_str()) {
        return Check::fail(POLICY, path.display(), denied);
    }
    let allowed: Vec<String> = policy.summary().iter().map(ToString::to_string).collect();
    let from = if path.exists() { "" } else { "there is none, so the default holds; " };
    let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
    Check::ok(POLICY, path.display(), format!("{from}it allows {allowed}"))
}

pub(super) fn unit(root: &Path) -> Check {
    if !root.join("run/systemd/system").is_dir() {
        return Check::ok(
            UNIT,
            UNIT_FILE,
            "this machine does not run systemd: see that something starts the agent",
        );
    }
    let found =
        UNIT_FOLDERS.iter().map(|folder| root.join(folder).join(UNIT_FILE)).find(|unit| unit.exists());
    match found {
        Some(unit) => Check::ok(UNIT, unit.display(), "there is a unit"),
        None => {
            Check::warn(UNIT, UNIT_FILE, "there is no unit: nothing starts the agent when the machine starts")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_supported;

    #[test]
    fn restic_is_supported_from_0_14_on() {
        for (version, expected) in [
            ("0.14.0", true),
            ("0.18.1-dev", true),
            ("1.0", true),
            ("0.13.1", false),
            ("dev", false),
            ("", false),
        ] {
            assert_eq!(is_supported(version), expected, "{version}");
        }
    }
}
