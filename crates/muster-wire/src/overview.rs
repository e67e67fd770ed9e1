//! The fleet at a glance: `GET /v1/overview`, and what was seen of one host: `GET /v1/hosts/{host_id}/history`.

use muster_ids::{HostId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::Whole;
use crate::host::Presence;

/// Hours of the fleet's presence that are shown: 1 to 168, 24 when not said.
pub type OverviewHours = Whole<1, 168>;
/// Days of a host's history that are shown: 1 to 30, 7 when not said; never more than are kept.
pub type HistoryDays = Whole<1, 30>;
/// Most things of one kind that are counted; past it there are more.
pub const ATTENTION_COUNTED: u64 = 1000;
/// Most things of one kind that are named.
pub const ATTENTION_NAMED: usize = 5;

/// The fleet of a team at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Overview {
    /// When the hosts, the claims and the jobs were counted: seconds ago, a few minutes in a fleet of a million.
    pub at: Timestamp,
    /// Hosts by where they stand in their life.
    pub hosts: HostCounts,
    /// Active hosts by whether they can be reached.
    pub presence: PresenceCounts,
    /// Claims that wait for a person.
    pub claims_open: u64,
    /// Jobs that have not ended.
    pub jobs_open: u64,
    /// Jobs that failed or were lost within the last 24 hours.
    pub jobs_failed_day: u64,
    /// What somebody should look at, most pressing first; a kind nothing is to be said about is not there.
    pub attention: Vec<Attention>,
    /// Active hosts by whether they could be reached, oldest first: every 5 minutes up to 24 hours, every hour beyond.
    pub presence_history: Vec<PresenceSample>,
}

/// Hosts by where they stand in their life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostCounts {
    /// Made by an operator, not yet registered.
    pub invited: u64,
    /// Admitted; those that are held are among them.
    pub active: u64,
    /// Refused everything.
    pub suspended: u64,
    /// Gone for good.
    pub retired: u64,
    /// Held until a person answered which of two machines is genuine.
    pub held: u64,
}

/// Active hosts by whether they can be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceCounts {
    /// Connected, or lately heard.
    pub online: u64,
    /// Three heartbeats are missing.
    pub unreachable: u64,
    /// Said goodbye, or unreachable for a day.
    pub offline: u64,
    /// Never heard.
    pub never_seen: u64,
}

impl PresenceCounts {
    /// Counts one host.
    pub fn count(&mut self, presence: Presence) {
        match presence {
            Presence::Online => self.online += 1,
            Presence::Unreachable => self.unreachable += 1,
            Presence::Offline => self.offline += 1,
            Presence::NeverSeen => self.never_seen += 1,
        }
    }
}

/// Active hosts by whether they could be reached at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceSample {
    /// The moment: a multiple of five minutes.
    pub at: Timestamp,
    /// Connected, or lately heard.
    pub online: u64,
    /// Three heartbeats were missing.
    pub unreachable: u64,
    /// Said goodbye, or unreachable for a day.
    pub offline: u64,
    /// Never heard.
    pub never_seen: u64,
}

macro_rules! attention {
    ($($(#[doc = $says:literal])+ $name:ident = $word:literal;)+) => {
        /// What somebody should look at.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum AttentionKind {
            $($(#[doc = $says])+ #[serde(rename = $word)] $name,)+
        }

        impl AttentionKind {
            /// Every one, most pressing first.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word: `claims_waiting`, `hosts_held`, …
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// What it means, in one sentence.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => concat!($($says,)+).trim_ascii(),)+ }
            }
        }
    };
}

attention! {
    /// Hosts that are held: two machines show the same identity, and neither gets anything before a person answered.
    HostsHeld = "hosts_held";
    /// Claims of machines that wait for a person.
    ClaimsWaiting = "claims_waiting";
    /// Secrets that went to a key nobody trusts any more, and whose value did not change since.
    SecretsExposed = "secrets_exposed";
    /// Sealed records that did not open within the last 24 hours.
    SecretsUnreadable = "secrets_unreadable";
    /// Active hosts that cannot be reached.
    HostsUnreachable = "hosts_unreachable";
    /// Jobs that failed or were lost within the last 24 hours.
    JobsFailed = "jobs_failed";
    /// Active hosts that have not confirmed for a minute the configuration they should have.
    ConfigDrifted = "config_drifted";
    /// Endpoints that take nothing of what is sent to them.
    EndpointsFailing = "endpoints_failing";
    /// Site keys that lapse within 7 days.
    SiteKeysExpiring = "site_keys_expiring";
    /// The certificate of the machines' listener lapses within 7 days; shown to the platform's own team.
    CertificateExpiring = "certificate_expiring";
}

impl std::fmt::Display for AttentionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One kind of what somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attention {
    /// What.
    pub kind: AttentionKind,
    /// How many; at least so many when there are more.
    pub count: u64,
    /// Whether there are more than were counted.
    pub more: bool,
    /// Some of them, at most 5: the longest-standing, of what failed the latest, of what is to come the next.
    pub items: Vec<AttentionItem>,
}

/// One thing somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttentionItem {
    /// Its id: of a host, a claim, a job, a ticket or an endpoint, as the kind says; of an exposed secret its host's, of
    /// an unreadable record and of the certificate what names them.
    pub id: String,
    /// What people call it; of a claim the machine's own name, of a job its host, of a site key its site,
    /// of a secret its host and its own.
    pub name: String,
    /// Since when it is so; of what is to come, when it comes.
    pub since: Timestamp,
}

/// What a machine last said about how it is, beside its signs of life. Reported: matches no selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Vitals {
    /// When it said so.
    pub at: Timestamp,
    /// Load average of one minute, in hundredths.
    pub load_percent: Option<u32>,
    /// Free space of the root file system in GiB.
    pub disk_free_gb: Option<u32>,
    /// The same as a part of its size, 0 to 100, when the machine reported that.
    pub disk_free_percent: Option<u8>,
    /// Milliseconds its clock is ahead of the server's, the way between them included; behind, when negative. Never
    /// more than 24 days.
    pub clock_ahead_ms: Option<i32>,
}

/// What was seen of a host: `GET /v1/hosts/{host_id}/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostHistory {
    /// The host.
    pub host_id: HostId,
    /// The beginning of what is shown.
    pub from: Timestamp,
    /// Its end: now.
    pub to: Timestamp,
    /// Whether it could be reached, without gaps from the first span on, oldest first; at most 1000. A goodbye or a
    /// silence of less than a minute and a half is not noted, nor one within ten minutes after it came back.
    pub spans: Vec<PresenceSpan>,
    /// What it said about how it is, hour by hour, oldest first; hours of silence are not there.
    pub vitals: Vec<VitalsSample>,
    /// What it said about itself and then said differently, newest first; as far back as it is kept, at most 100.
    pub facts: Vec<FactChange>,
}

/// How long a host could or could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceSpan {
    /// Since when.
    pub from: Timestamp,
    /// Until when; it goes on when none.
    pub to: Option<Timestamp>,
    /// Whether.
    pub status: Presence,
}

/// What a machine said about how it is, in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VitalsSample {
    /// The beginning of the hour.
    pub at: Timestamp,
    /// The highest load average of one minute, in hundredths.
    pub load_percent: Option<u32>,
    /// Free space of the root file system in GiB.
    pub disk_free_gb: Option<u32>,
    /// The same as a part of the size the machine reports now, 0 to 100.
    pub disk_free_percent: Option<u8>,
}

/// Something a machine said about itself and then said differently. Reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FactChange {
    /// When it was told.
    pub at: Timestamp,
    /// What: `hostname`, `os`, `arch`, `cpu_cores`, `memory_mb`, `disk_gb`, `address`, or `versions.` and a program.
    pub fact: String,
    /// What it said before; nothing, when none.
    pub was: Option<String>,
    /// What it says since; nothing, when none.
    pub is: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_once_and_reads_back() {
        for kind in AttentionKind::ALL {
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.as_str());
            assert_eq!(serde_json::from_value::<AttentionKind>(json).unwrap(), *kind);
            assert!(kind.says().ends_with('.'), "{kind}");
        }
    }

    #[test]
    fn every_presence_is_counted_in_its_place() {
        let mut counts = PresenceCounts::default();
        let all = [
            (Presence::Online, 1),
            (Presence::Unreachable, 2),
            (Presence::Offline, 3),
            (Presence::NeverSeen, 4),
        ];
        for (presence, times) in all {
            (0..times).for_each(|_| counts.count(presence));
        }
        let expected = PresenceCounts { online: 1, unreachable: 2, offline: 3, never_seen: 4 };
        assert_eq!(counts, expected);
    }
}
