//! The goals, each with the bound it must keep and the one that is tried for.

use super::Goal;

/// Which side of a bound is the good one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    /// At least the must, better the extreme.
    AtLeast(f64, f64),
    /// At most the must, better the extreme.
    AtMost(f64, f64),
    /// At most the must; there is no extreme.
    NoMoreThan(f64),
}

impl Bound {
    fn keeps(self, figure: f64) -> (bool, bool) {
        match self {
            Self::AtLeast(must, extreme) => (figure >= must, figure >= extreme),
            Self::AtMost(must, extreme) => (figure <= must, figure <= extreme),
            Self::NoMoreThan(must) => (figure <= must, false),
        }
    }

    fn words(self, unit: &str) -> (String, String) {
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        match self {
            Self::AtLeast(must, extreme) => (format!("≥ {must}{unit}"), format!("≥ {extreme}{unit}")),
            Self::AtMost(must, extreme) => (format!("≤ {must}{unit}"), format!("≤ {extreme}{unit}")),
            Self::NoMoreThan(must) => (format!("≤ {must}{unit}"), "–".to_owned()),
        }
    }
}

/// How a goal is judged: by its ratio where it is measured against something, else by its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) denominator_is: &'static str,
    pub(crate) bound: Bound,
}

impl Rule {
    pub(crate) fn judge(&self, database: &'static str, value: f64, denominator: Option<f64>) -> Goal {
        let ratio = denominator.map(|denominator| value / denominator);
        let (met, extreme_met) = self.bound.keeps(ratio.unwrap_or(value));
        let (must, extreme) = self.bound.words(if ratio.is_some() { "" } else { self.unit });
        Goal {
            name: self.name,
            database,
            value,
            unit: self.unit,
            denominator,
            denominator_is: self.denominator_is,
            ratio,
            must,
            extreme,
            met,
            extreme_met,
        }
    }
}

/// Which goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GoalKind {
    HttpHeartbeats,
    ChannelHeartbeats,
    JoinsSqlite,
    JoinsPostgres,
    GroupCommit,
    MemoryPlain,
    MemoryTls,
    PushToAll,
    AllBack,
    ConnectPeak,
    ConnectFailures,
    RevokeToRefused,
    FlushSqlite,
    FlushPostgres,
    ListPages,
    DashboardPages,
    DashboardWeight,
    DashboardLive,
    AgentMemory,
    AgentBinary,
    AgentProcessor,
}

/// Every goal, for the test of their bounds.
#[cfg(test)]
pub(crate) const GOALS: [GoalKind; 21] = [
    GoalKind::HttpHeartbeats,
    GoalKind::ChannelHeartbeats,
    GoalKind::JoinsSqlite,
    GoalKind::JoinsPostgres,
    GoalKind::GroupCommit,
    GoalKind::MemoryPlain,
    GoalKind::MemoryTls,
    GoalKind::PushToAll,
    GoalKind::AllBack,
    GoalKind::ConnectPeak,
    GoalKind::ConnectFailures,
    GoalKind::RevokeToRefused,
    GoalKind::FlushSqlite,
    GoalKind::FlushPostgres,
    GoalKind::ListPages,
    GoalKind::DashboardPages,
    GoalKind::DashboardWeight,
    GoalKind::DashboardLive,
    GoalKind::AgentMemory,
    GoalKind::AgentBinary,
    GoalKind::AgentProcessor,
];

impl GoalKind {
    pub(crate) fn rule(self) -> Rule {
        let rule = |name, unit, denominator_is, bound| Rule { name, unit, denominator_is, bound };
        match self {
            Self::HttpHeartbeats => rule(
                "HTTP heartbeats with agent keys",
                "/s",
                "/s of a bare axum handler",
                Bound::AtLeast(0.75, 0.88),
            ),
            Self::ChannelHeartbeats => {
                rule("channel heartbeats", "/s", "/s of a bare WebSocket echo", Bound::AtLeast(0.70, 0.90))
            }
            Self::JoinsSqlite => rule(
                "joins through the whole door",
                "/s",
                "/s of the bare transaction, one durable commit each",
                Bound::AtLeast(1.0, 2.0),
            ),
            Self::JoinsPostgres => rule(
                "joins through the whole door",
                "/s",
                "/s of the bare transaction over 8 connections",
                Bound::AtLeast(1.5, 5.0),
            ),
            Self::GroupCommit => {
                rule("group commit, 256 in flight", "/s", "/s with one commit each", Bound::AtLeast(4.0, 6.0))
            }
            Self::MemoryPlain => {
                rule("server memory per connected agent, plain", "KiB", "", Bound::AtMost(10.0, 6.0))
            }
            Self::MemoryTls => {
                rule("server memory per connected agent, TLS", "KiB", "", Bound::AtMost(22.0, 14.0))
            }
            Self::PushToAll => rule(
                "push to all until the last one has it",
                "ms",
                "ms of a bare fan-out",
                Bound::AtMost(2.0, 1.2),
            ),
            Self::AllBack => {
                rule("all back after kill -9", "s", "s of the jitter window", Bound::NoMoreThan(1.1))
            }
            Self::ConnectPeak => {
                rule("connects after kill -9, peak", "/s", "/s on average", Bound::NoMoreThan(3.0))
            }
            Self::ConnectFailures => {
                rule("5xx after kill -9 other than 503 with Retry-After", "", "", Bound::NoMoreThan(0.0))
            }
            Self::RevokeToRefused => rule("revoke to refused, p99", "ms", "", Bound::AtMost(100.0, 20.0)),
            Self::FlushSqlite => rule("10,000 heartbeats flushed", "ms", "", Bound::AtMost(15.0, 10.0)),
            Self::FlushPostgres => rule("10,000 heartbeats flushed", "ms", "", Bound::AtMost(60.0, 40.0)),
            Self::ListPages => {
                rule("slowest page of hosts through the API, p99", "ms", "", Bound::AtMost(10.0, 2.0))
            }
            Self::DashboardPages => rule("dashboard, slowest page, p99", "ms", "", Bound::AtMost(20.0, 5.0)),
            Self::DashboardWeight => {
                rule("dashboard, first page with its files, compressed", "kB", "", Bound::AtMost(60.0, 30.0))
            }
            Self::DashboardLive => {
                rule("dashboard, live update, p99", "ms", "", Bound::AtMost(1000.0, 250.0))
            }
            Self::AgentMemory => rule("agent, idle memory", "MiB", "", Bound::AtMost(10.0, 5.0)),
            Self::AgentBinary => rule("agent, static binary", "MB", "", Bound::AtMost(10.0, 6.0)),
            Self::AgentProcessor => rule("agent, idle processor", "%", "", Bound::NoMoreThan(0.1)),
        }
    }
}
