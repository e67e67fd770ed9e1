use clap::Subcommand;
use muster_client::api::collect;
use muster_ids::{HostId, KeyName, Timestamp};
use muster_wire::host_key::{HostKey, HostKeyState, KeyRotation, MintedAgentKey};

use crate::commands::Most;
use crate::failure::Failure;
use crate::operator::Operator;
use crate::output::{record, visible};
use crate::words::{moment, optional_moment, relative, word};

const EXAMPLES: &str = "\
A host has one key pair, made on its machine, or at most two agent keys. An agent key is a bearer
string: it is for machines that send heartbeats over HTTP without the agent. To rotate it, mint a
second one, put it on the machine, see it used, then revoke the first.

Examples:
  muster host keys list web-1
  muster host keys mint printer-3 -q > agent-key
  muster host keys revoke web-1 KEY";

/// What a host proves itself with.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Keys {
    /// List the keys of a host, also those that ended
    #[command(after_help = "Examples:\n  muster host keys list web-1\n  muster host keys list web-1 -o json")]
    List {
        /// The host, by name or id
        host: String,
        #[command(flatten)]
        most: Most,
    },
    /// Mint an agent key for a host without a key pair; an invited host is admitted with it
    #[command(
        after_help = "Shows the key once; with -q it is all that is written.\n\nExamples:\n  muster host keys mint printer-3\n  muster host keys mint printer-3 -q > agent-key"
    )]
    Mint {
        /// The host, by name or id
        host: String,
    },
    /// Revoke a key at once; the host stays, and a machine with a key pair may rejoin
    #[command(after_help = "Examples:\n  muster host keys revoke web-1 KEY")]
    Revoke {
        /// The host, by name or id
        host: String,
        /// The key, as `muster host keys list` names it
        key: String,
    },
}

const HEADER: [&str; 7] = ["KEY", "STATE", "MADE BY", "MADE", "FIRST USED", "LAST USED", "ENDED"];

impl Keys {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        let name = |key: &HostKey| key.name.to_string();
        match self {
            Self::List { host, most } => {
                let host_id = operator.host(&host).await?;
                let keys = collect(most.limit, async |page| client.host_keys(host_id, &page).await).await?;
                let now = operator.now();
                output.list(&keys, name, &HEADER, |key| row(key, now), "the host never had a key")
            }
            Self::Mint { host } => {
                let minted = client.mint_agent_key(operator.host(&host).await?).await?;
                output.show(&minted, |minted| minted.token.clone(), describe_minted)?;
                output.hint(
                    "\nnext: put it on the machine, which sends it as: Authorization: Bearer AGENT_KEY",
                );
                Ok(())
            }
            Self::Revoke { host, key } => {
                let key: KeyName = key.parse().map_err(|_| {
                    Failure::usage(
                        "this is not the name of a key",
                        "copy it as `muster host keys list` names it",
                    )
                })?;
                let key = client.revoke_host_key(operator.host(&host).await?, key).await?;
                output.show(&key, name, describe)?;
                output.hint(
                    "a machine with a key pair comes back with: muster host registration-token HOST --rejoin",
                );
                Ok(())
            }
        }
    }
}

/// Asks a host for its next key pair.
pub(super) async fn rotate(operator: &Operator, host_id: HostId) -> Result<(), Failure> {
    let asked = operator.client.rotate_host_key(host_id).await?;
    operator.output.show(&asked, |asked| asked.key.to_string(), describe_rotation)?;
    operator.output.hint("see it happen with: muster host keys list HOST");
    Ok(())
}

fn describe_rotation(asked: &KeyRotation) -> String {
    let when = if asked.connected { "it is connected: now" } else { "when it connects" };
    record(&[
        ("Host", asked.host_id.to_string()),
        ("Replaces", asked.key.to_string()),
        ("Asked", moment(asked.asked_at)),
        ("Happens", when.to_owned()),
    ])
}

/// Who made a key: the person who minted it, or the machine with its ticket.
fn made_by(key: &HostKey) -> String {
    match (&key.created_by, &key.ticket_id) {
        (Some(person), _) => person.clone(),
        (None, Some(ticket_id)) => format!("machine, ticket {ticket_id}"),
        (None, None) => "machine".to_owned(),
    }
}

fn ended(key: &HostKey) -> String {
    match (&key.ended_by, key.state) {
        (_, HostKeyState::Active | HostKeyState::Next) => String::new(),
        (Some(by), _) => format!("{} by {by}", optional_moment(key.ended_at)),
        (None, _) => optional_moment(key.ended_at),
    }
}

fn row(key: &HostKey, now: Timestamp) -> Vec<String> {
    let used = |at: Option<Timestamp>| at.map(|at| relative(at, now)).unwrap_or_default();
    vec![
        key.name.to_string(),
        word(&key.state),
        made_by(key),
        relative(key.created_at, now),
        used(key.first_used_at),
        used(key.last_used_at),
        ended(key),
    ]
}

fn describe(key: &HostKey) -> String {
    record(&[
        ("Key", key.name.to_string()),
        ("Kind", word(&key.kind)),
        ("State", word(&key.state)),
        ("Made by", made_by(key)),
        ("Made", moment(key.created_at)),
        ("First used", optional_moment(key.first_used_at)),
        ("Last used", optional_moment(key.last_used_at)),
        ("Ended", ended(key)),
    ])
}

fn describe_minted(minted: &MintedAgentKey) -> String {
    format!("{}\n\nagent key, shown this once:\n{}", describe(&minted.key), visible(&minted.token))
}

#[cfg(test)]
mod tests;
