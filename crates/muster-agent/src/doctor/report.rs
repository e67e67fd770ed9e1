use std::fmt;

use serde::Serialize;

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    #[default]
    Ok,
    /// It works, or would, but somebody should know.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub check: &'static str,
    /// Of what: an address, a file.
    pub about: String,
    /// How it is.
    pub outcome: Outcome,
    /// What was found, and what to do about it; one line, no secret.
    pub said: String,
}

/// Everything that was looked at, in order.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The version of the agent that looked.
    pub version: Version,
    /// The worst of all.
    pub outcome: Outcome,
    /// One by one.
    pub checks: Vec<Check>,
}

/// The version of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Version(&'static str);

impl Default for Version {
    fn default() -> Self {
        Self(env!("CARGO_PKG_VERSION"))
    }
}

impl Check {
    pub(super) fn ok(check: &'static str, about: impl fmt::Display, said: impl fmt::Display) -> Self {
        Self::new(check, about, Outcome::Ok, said)
    }

    pub(super) fn warn(check: &'static str, about: impl fmt::Display, said: impl fmt::Display) -> Self {
        Self::new(check, about, Outcome::Warn, said)
    }

    pub(super) fn fail(check: &'static str, about: impl fmt::Display, said: impl fmt::Display) -> Self {
        Self::new(check, about, Outcome::Fail, said)
    }

    fn new(check: &'static str, about: impl fmt::Display, outcome: Outcome, said: impl fmt::Display) -> Self {
        let line =
            |text: String| crate::visible::line::<1024>(&text).map_or_else(String::new, |l| l.to_string());
        Self { check, about: line(about.to_string()), outcome, said: line(said.to_string()) }
    }
}

impl Report {
    pub(super) fn push(&mut self, check: Check) {
        self.outcome = self.outcome.max(check.outcome);
        self.checks.push(check);
    }

    pub(super) fn extend(&mut self, checks: impl IntoIterator<Item = Check>) {
        checks.into_iter().for_each(|check| self.push(check));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { check, about, outcome, said } in &self.checks {
            let word = match outcome {
                Outcome::Ok => "ok",
                Outcome::Warn => "warn",
                Outcome::Fail => "fail",
            };
            writeln!(f, "{word:<5} {check:<13} {about}: {said}")?;
        }
        let count = |outcome| self.checks.iter().filter(|check| check.outcome == outcome).count();
        write!(
            f,
            "{} checks, {} warnings, {} failures",
            self.checks.len(),
            count(Outcome::Warn),
            count(Outcome::Fail)
        )
    }
}
