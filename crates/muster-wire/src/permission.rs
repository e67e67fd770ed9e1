//! What a person, or a token of theirs, may be allowed to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)+) => {
        /// Something a person may be allowed to do; as a scope, what a token is allowed at most.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Permission {
            $($(#[$doc])* #[serde(rename = $word)] $name,)+
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

permissions! {
    /// See who one is; manage one's own password, second factor, sessions and tokens.
    OwnAccount = "own_account";
    /// Make teams, and people in them.
    ManageTeams = "manage_teams";
    /// See teams.
    SeeTeams = "see_teams";
    /// See sites, hosts, claims, tickets, jobs and the names of secrets.
    SeeFleet = "see_fleet";
    /// Make sites and set their policies.
    ManageSites = "manage_sites";
    /// Mint and revoke one-time tokens.
    MintTokens = "mint_tokens";
    /// Mint, rotate and revoke site keys; say that a ticket leaked.
    ManageSiteKeys = "manage_site_keys";
    /// Invite, move and retire hosts; mint and revoke their keys.
    ManageHosts = "manage_hosts";
    /// Tag, suspend and resume hosts.
    OperateHosts = "operate_hosts";
    /// Decide claims.
    DecideClaims = "decide_claims";
    /// Set secrets, also in one-time tokens; with `manage_hosts`, make keys of hosts that hold some.
    ManageSecrets = "manage_secrets";
    /// Make jobs.
    RunJobs = "run_jobs";
    /// Read the audit trail.
    ReadAudit = "read_audit";
    /// Verify the chain of the audit trail, and set how long it is kept.
    ManageAudit = "manage_audit";
    /// Hear of events.
    ReadEvents = "read_events";
    /// Set who hears of events, with `read_events`.
    ManageEndpoints = "manage_endpoints";
    /// See the members of a team.
    SeePeople = "see_people";
    /// Invite and remove members, set their roles.
    ManagePeople = "manage_people";
    /// Set the providers people sign in with, and the settings of the installation.
    ManageInstallation = "manage_installation";
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
