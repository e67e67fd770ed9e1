//! Every table, and what keeps it from growing without end. A table that is not here fails a test.

use std::fmt;

use muster_wire::settings::SettingName;

/// What bounds a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Rows go when they are older than a setting says.
    Days(SettingName),
    /// A setting says how many there are of each kind.
    Count(SettingName),
    /// A limit of the program that nobody sets.
    Fixed(&'static str),
    /// Rows go with those of another table.
    With(&'static str),
    /// Rows are kept for good; why, and what bounds how many there are.
    Kept(&'static str),
}

/// A table and its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// The table.
    pub table: &'static str,
    /// What one row is, and when it may go.
    pub says: &'static str,
    /// What bounds it.
    pub bound: Bound,
}

const fn growth(table: &'static str, says: &'static str, bound: Bound) -> Growth {
    Growth { table, says, bound }
}

use Bound::{Count, Days, Fixed, Kept, With};

/// Every table, in the order of their names.
pub const TABLES: &[Growth] = &[
    growth("audit", "an entry of the audit trail", Days(SettingName::AuditKeepDays)),
    growth(
        "claim",
        "a claim; from its end, unless it was rejected: that keeps a machine out until it is cleared. The last one of a \
         copied key stays while a secret that key received has the same value",
        Days(SettingName::ClaimsKeepDays),
    ),
    growth(
        "delivery",
        "an event on its way to an endpoint; from its end",
        Days(SettingName::DeliveriesKeepDays),
    ),
    growth("endpoint", "a webhook or a notification; removed ones go at once", Fixed("64 of a team")),
    growth(
        "fact_change",
        "something a host said about itself and then said differently; at most 100 of a host",
        Days(SettingName::FactsKeepDays),
    ),
    growth(
        "fleet_sample",
        "how many hosts of a team could be reached; every five minutes",
        Days(SettingName::HistoryKeepDays),
    ),
    growth(
        "host",
        "a host; of a retired one the tombstone",
        Kept("its id, uid and keys are never another's"),
    ),
    growth("host_config", "what a host should have", With("host")),
    growth("host_key", "a key a host ever had", Kept("a key is never another host's")),
    growth("host_tag", "a tag of a host", Fixed("32 of a host")),
    growth("host_vitals", "what a host said in a day about how it is", Days(SettingName::HistoryKeepDays)),
    growth("idempotent_reply", "a reply kept for a retry", Fixed("24 hours")),
    growth("installation", "a fact of the installation", Fixed("a dozen, and one for each restore")),
    growth("invitation", "an invitation of a person; from its end", Days(SettingName::TokensKeepDays)),
    growth(
        "issuer_sign_out",
        "a provider that was removed, until who came by it is signed out",
        With("oidc_provider"),
    ),
    growth("job", "a job; from its end", Days(SettingName::JobsKeepDays)),
    growth(
        "job_log",
        "a line of the log of a job; from the end of the job",
        Days(SettingName::JobLogsKeepDays),
    ),
    growth(
        "key_generation",
        "what the holder of a key showed last; it goes with the key",
        Fixed("1 of a good key"),
    ),
    growth("leak", "a ticket that leaked", With("ticket")),
    growth("oidc_identity", "how a person signs in at a provider", With("person")),
    growth("oidc_provider", "a provider", Fixed("what admins set up")),
    growth("operator_token", "an API token; from its end", Days(SettingName::TokensKeepDays)),
    growth("outbox", "an event; longer while an endpoint waits for it", Days(SettingName::EventsKeepDays)),
    growth("password", "the hash of a password", With("person")),
    growth("person", "a person; of a removed one the name", Kept("the audit trail names people by id")),
    growth("presence", "the last sign of life of a host", With("host")),
    growth(
        "presence_change",
        "that a host could be reached, or could not any more; at most two in ten minutes of a host",
        Days(SettingName::HistoryKeepDays),
    ),
    growth("presence_noted", "whether a host could be reached when that was last noted", With("host")),
    growth("recovery_code", "a code in place of the second factor", With("person")),
    growth(
        "refusal",
        "how often a ticket was refused for one cause; from the last time",
        Days(SettingName::RefusalsKeepDays),
    ),
    growth("refused_request", "one of the last 32 refusals for a cause", Days(SettingName::RefusalsKeepDays)),
    growth("revocation", "what nodes stop trusting", Days(SettingName::RevocationsKeepDays)),
    growth(
        "saved_view",
        "a view of the list of hosts a person saved; it goes with the person",
        Fixed("50 of a person in each team"),
    ),
    growth("second_factor", "a second factor", With("person")),
    growth("secret", "a secret, with its owner", Fixed("16 of a ticket, 64 of a host")),
    growth(
        "secret_delivery",
        "that a key received a version of a secret; of older versions it goes when the value changes",
        Count(SettingName::SecretLedgerVersions),
    ),
    growth("setting", "a setting that was set", Fixed("the settings there are")),
    growth("site", "a site", Kept("people make them")),
    growth("team", "a team", Kept("people make them")),
    growth(
        "ticket",
        "a ticket that admitted nobody; from its end. One that was used is kept for good: spent is spent",
        Days(SettingName::TicketsKeepDays),
    ),
    growth(
        "web_session",
        "a browser that is or was signed in; from its end",
        Days(SettingName::SessionsKeepDays),
    ),
];

impl Bound {
    /// Returns the setting that changes it.
    pub const fn setting(self) -> Option<SettingName> {
        match self {
            Self::Days(name) | Self::Count(name) => Some(name),
            Self::Fixed(_) | Self::With(_) | Self::Kept(_) => None,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(name) => write!(f, "{} days", name.default_value()),
            Self::Count(name) => write!(f, "the last {}", name.default_value()),
            Self::Fixed(text) => f.write_str(text),
            Self::With(table) => write!(f, "as `{table}`"),
            Self::Kept(why) => write!(f, "kept: {why}"),
        }
    }
}
