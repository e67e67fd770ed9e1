//! Scenarios as text: one step a line, `#` begins a comment.
//!
//! ```text
//! join 1000 in flight 256
//! connect 1000 over tls
//! heartbeat for 10 s
//! kill server
//! all back within 90 s
//! ```
//!
//! To add a step: a variant of [`Step`], a line in [`Step::parse`] and in `docs/performance.md`, and an arm in `play`.

use std::fmt;
use std::time::Duration;

/// Which listener clients connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Plain HTTP, on loopback.
    Plain,
    /// TLS, by the pinned key.
    Tls,
}

/// How an operator gives orders to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orders {
    /// To as many hosts with one order as one order takes.
    OfMany,
    /// To each host by itself.
    OfOne,
}

/// What the swarm does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many new machines present the site key.
    Join { machines: usize, in_flight: usize },
    /// So many joined machines open their channel and keep it.
    Connect { machines: usize, over: Over },
    /// Every connected machine sends heartbeats as fast as it may.
    Heartbeat { lasts: Duration },
    /// So many machines with an agent key send heartbeats over HTTP, one connection each.
    HeartbeatOverHttp { machines: usize, lasts: Duration },
    /// Nothing is sent but what the protocol asks for.
    Idle { lasts: Duration },
    /// The server is killed as a power cut would, and started again.
    KillServer,
    /// The server is asked to stop, and started again.
    RestartServer,
    /// Every machine that was connected is connected again.
    AllBack { within: Duration },
    /// Every connected host gets a new configuration.
    PushAll { orders: Orders },
    /// The keys of so many connected hosts are revoked, one after the other.
    Revoke { machines: usize },
    /// So many connected machines stop reading.
    SlowReaders { machines: usize },
    /// Copies of so many connected machines connect with the same state.
    Clone { machines: usize },
}

/// A line that is no step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotAStep {
    line: usize,
    text: String,
    why: &'static str,
}

impl fmt::Display for NotAStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: `{}`: {}", self.line, self.text, self.why)
    }
}

impl std::error::Error for NotAStep {}

/// Most machines of one step: one process cannot hold more sockets.
const MOST: usize = 1_000_000;
const LONGEST_SECS: u64 = 24 * 3600;

/// Reads a scenario.
pub(crate) fn parse(text: &str) -> Result<Vec<Step>, NotAStep> {
    let mut steps = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let said = line.split('#').next().unwrap_or_default().trim();
        if said.is_empty() {
            continue;
        }
        let words: Vec<&str> = said.split_whitespace().collect();
        let step = Step::parse(&words);
        steps.push(step.map_err(|why| NotAStep { line: index + 1, text: said.to_owned(), why })?);
    }
    Ok(steps)
}

impl Step {
    fn parse(words: &[&str]) -> Result<Self, &'static str> {
        match words {
            ["join", machines] => Ok(Self::Join { machines: count(machines)?, in_flight: 64 }),
            ["join", machines, "in", "flight", in_flight] => {
                Ok(Self::Join { machines: count(machines)?, in_flight: count(in_flight)? })
            }
            ["connect", machines] => Ok(Self::Connect { machines: count(machines)?, over: Over::Tls }),
            ["connect", machines, "over", over] => {
                Ok(Self::Connect { machines: count(machines)?, over: way(over)? })
            }
            ["heartbeat", "for", lasts, "s"] => Ok(Self::Heartbeat { lasts: seconds(lasts)? }),
            ["heartbeat", machines, "over", "http", "for", lasts, "s"] => {
                Ok(Self::HeartbeatOverHttp { machines: count(machines)?, lasts: seconds(lasts)? })
            }
            ["idle", "for", lasts, "s"] => Ok(Self::Idle { lasts: seconds(lasts)? }),
            ["kill", "server"] => Ok(Self::KillServer),
            ["restart", "server"] => Ok(Self::RestartServer),
            ["all", "back", "within", within, "s"] => Ok(Self::AllBack { within: seconds(within)? }),
            ["push", "all"] => Ok(Self::PushAll { orders: Orders::OfMany }),
            ["push", "all", "one", "by", "one"] => Ok(Self::PushAll { orders: Orders::OfOne }),
            ["revoke", machines] => Ok(Self::Revoke { machines: count(machines)? }),
            ["slow", "readers", machines] => Ok(Self::SlowReaders { machines: count(machines)? }),
            ["clone", machines] => Ok(Self::Clone { machines: count(machines)? }),
            _ => Err("no step begins and ends like this"),
        }
    }
}

fn count(word: &str) -> Result<usize, &'static str> {
    let number = word.replace('_', "").parse().map_err(|_| "expected a whole number")?;
    if (1..=MOST).contains(&number) { Ok(number) } else { Err("a number from 1 to 1000000 is needed") }
}

fn seconds(word: &str) -> Result<Duration, &'static str> {
    let number = word.parse().map_err(|_| "expected a whole number of seconds")?;
    if (1..=LONGEST_SECS).contains(&number) {
        Ok(Duration::from_secs(number))
    } else {
        Err("between a second and a day is needed")
    }
}

fn way(word: &str) -> Result<Over, &'static str> {
    match word {
        "plain" => Ok(Over::Plain),
        "tls" => Ok(Over::Tls),
        _ => Err("connections are `over plain` or `over tls`"),
    }
}

#[cfg(test)]
mod tests;
