//! Settings of the whole installation: their names, bounds and defaults, once.

use muster_ids::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::Whole;

macro_rules! settings {
    ($($(#[doc = $says:literal])+ $name:ident $word:ident: $default:literal, $least:literal to $most:literal;)+) => {
        /// A setting of the whole installation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum SettingName {
            $($(#[doc = $says])+ $name,)+
        }

        impl SettingName {
            /// Every setting.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($word),)+ }
            }

            /// What it means, in one sentence.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => concat!($($says,)+).trim_ascii(),)+ }
            }

            /// Its value while nobody set it.
            pub const fn default_value(self) -> u64 {
                match self { $(Self::$name => $default,)+ }
            }

            /// The least and the greatest value it takes.
            pub const fn bounds(self) -> (u64, u64) {
                match self { $(Self::$name => ($least, $most),)+ }
            }
        }

        /// New values of settings; what is not named stays as it is.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct SetSettings {
            $(
                $(#[doc = $says])+
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $word: Option<Whole<$least, $most>>,
            )+
        }

        impl SetSettings {
            /// Returns the settings that are named, with their new values.
            pub fn named(&self) -> Vec<(SettingName, u64)> {
                let named = [$((SettingName::$name, self.$word.map(Whole::get)),)+];
                named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
            }

            /// Names a setting and its new value. `false`: the value is out of bounds.
            pub fn name(&mut self, name: SettingName, value: u64) -> bool {
                match name {
                    $(SettingName::$name => {
                        self.$word = Whole::new(value);
                        self.$word.is_some()
                    })+
                }
            }
        }
    };
}

settings! {
    /// Days for which entries of the audit trail are kept.
    AuditKeepDays audit_keep_days: 400, 30 to 36_500;
    /// Days for which claims that ended are kept; rejected ones stay until they are cleared.
    ClaimsKeepDays claims_keep_days: 90, 1 to 3_650;
    /// Days for which the log of deliveries that are over is kept.
    DeliveriesKeepDays deliveries_keep_days: 30, 1 to 3_650;
    /// Days for which events are kept; longer while an endpoint waits for them.
    EventsKeepDays events_keep_days: 30, 1 to 3_650;
    /// Days for which it is kept what machines said about themselves and then said differently.
    FactsKeepDays facts_keep_days: 90, 1 to 3_650;
    /// Days for which it is kept whether hosts could be reached, and what they said about how they are.
    HistoryKeepDays history_keep_days: 8, 1 to 30;
    /// Days for which jobs that ended are kept.
    JobsKeepDays jobs_keep_days: 90, 14 to 3_650;
    /// Days for which the logs of jobs that ended are kept; never longer than their jobs.
    JobLogsKeepDays job_logs_keep_days: 30, 1 to 3_650;
    /// Days for which it is kept why tickets were refused.
    RefusalsKeepDays refusals_keep_days: 90, 1 to 3_650;
    /// Days for which the log of what was revoked is kept.
    RevocationsKeepDays revocations_keep_days: 30, 1 to 3_650;
    /// Versions of a secret, the current one among them, of which it is kept who received them.
    SecretLedgerVersions secret_ledger_versions: 20, 1 to 1_000;
    /// Days for which sessions of browsers that are good no more are kept.
    SessionsKeepDays sessions_keep_days: 30, 1 to 3_650;
    /// Days for which tickets that ended without admitting anybody are kept; used ones stay for good.
    TicketsKeepDays tickets_keep_days: 90, 1 to 3_650;
    /// Days for which API tokens and invitations that are good no more are kept.
    TokensKeepDays tokens_keep_days: 90, 1 to 3_650;
    /// Days after which a host is asked to replace its key pair; 0: never by itself.
    HostKeyMaxAgeDays host_key_max_age_days: 90, 0 to 3_650;
}

impl std::str::FromStr for SettingName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|name| name.as_str() == text).ok_or("there is no such setting")
    }
}

impl std::fmt::Display for SettingName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A setting as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// What it means.
    pub says: String,
    /// Its value.
    pub value: u64,
    /// Its value while nobody sets it.
    pub default: u64,
    /// The least value it takes.
    pub least: u64,
    /// The greatest value it takes.
    pub most: u64,
    /// When it was set; nobody did while it is none.
    pub changed_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_within_their_bounds_and_names_are_found_again() {
        for name in SettingName::ALL {
            let (least, most) = name.bounds();
            assert!((least..=most).contains(&name.default_value()), "{name}");
            assert_eq!(name.as_str().parse(), Ok(*name));
            let mut set = SetSettings::default();
            assert!(
                set.name(*name, most)
                    && !set.clone().name(*name, most + 1)
                    && (least == 0 || !set.clone().name(*name, least - 1))
            );
            assert_eq!(set.named(), [(*name, most)]);
            assert!(!name.says().is_empty());
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        assert!(serde_json::from_str::<SetSettings>(r#"{"audit_keep_day": 40}"#).is_err());
        assert!(serde_json::from_str::<SetSettings>(r#"{"audit_keep_days": 29}"#).is_err());
    }
}
