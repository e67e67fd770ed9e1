//! A wall clock of its own for a program, which can be set while the program runs (libfaketime).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The wall clock of the programs that got its environment; their monotonic clock stays the machine's.
#[derive(Debug)]
pub struct WallClock {
    setting: PathBuf,
}

impl WallClock {
    /// Makes a clock that is right, kept in `folder`.
    pub fn new(folder: &Path) -> Result<Self> {
        sweep();
        let clock = Self { setting: folder.join("wall-clock") };
        clock.set("+0")?;
        Ok(clock)
    }

    /// Sets it so far from the right time: `+1h`, `-1h`, `+1y`, `+0`.
    pub fn set(&self, offset: &str) -> Result<()> {
        // Renamed: a program that reads half a setting would be right for a moment.
        let next = self.setting.with_extension("next");
        fs::write(&next, offset).context("write the setting of the clock")?;
        fs::rename(&next, &self.setting).context("set the clock")
    }

    /// Returns what the environment of a program must hold to live by this clock.
    ///
    /// # Panics
    /// When libfaketime is not installed: a test must not pass because it was skipped.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.setting.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }
}

impl Drop for WallClock {
    fn drop(&mut self) {
        sweep();
    }
}

/// Removes what libfaketime left of programs that are gone: it is named after them, and another one may get their name.
fn sweep() {
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let pid = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another test may sweep, too.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let found = libraries.find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("these tests need libfaketime: install it (scripts/install-needs.sh)"))
}
