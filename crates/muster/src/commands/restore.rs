use std::path::PathBuf;

use clap::Args;
use muster_server::backup::{Restoration, Restored, Voided, restore};
use muster_wire::ticket::TicketKind;

use super::place::{Bar, ServerPlace};
use crate::cli::Global;
use crate::failure::Failure;
use crate::output::record;
use crate::words::{moment, word};

const EXAMPLES: &str = "\
Goes into a new data folder and an empty database only; the server must be stopped. Most agents come
back by themselves; who does not, because a key was rotated after the backup, is said at the end. What
may have been used after the backup ends: open tickets, invitations, waiting claims, sessions of
browsers, jobs that were not sent yet. What was revoked after the backup is good again, and the restore
cannot know it: compare with your copy of the audit trail.

A restore that breaks off leaves a database that no server serves; run it again.

Examples:
  muster restore muster.backup --key master.key.copy --data-dir /var/lib/muster
  muster restore muster.backup --key master.key.copy --database postgres://muster@db.example/muster";
/// Most tickets that are named.
const NAMED: usize = 20;

/// Restore a server from a backup, into nothing
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The exported master key; not needed where the data folder has it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    place: ServerPlace,
}

impl Restore {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let output = global.output();
        let restoration = Restoration { backup: self.file, place: self.place.place()?, key: self.key };
        let bar = Bar::new(output, "restoring");
        let restored = restore(restoration, bar.progress()).await;
        bar.end();
        let restored = restored.map_err(|error| Failure::plain(format!("{error:#}")))?;
        if output.is_json() {
            return output.line(&document(&restored).to_string());
        }
        if !output.is_table() {
            return output.line(&restored.voided.epoch.to_string());
        }
        output.line(&shown(&restored))?;
        output.hint(&to_do(&restored));
        Ok(())
    }
}

fn document(restored: &Restored) -> serde_json::Value {
    let voided = &restored.voided;
    let tickets = voided.tickets.iter().map(|(id, kind)| serde_json::json!({ "id": id, "kind": kind }));
    serde_json::json!({
        "backup_of": restored.backup_of,
        "rows": restored.rows,
        "files": restored.files,
        "former_epoch": voided.former_epoch,
        "epoch": voided.epoch,
        "voided": {
            "tickets": tickets.collect::<Vec<_>>(),
            "claims": voided.claims,
            "invitations": voided.invitations,
            "sessions": voided.sessions,
            "jobs": voided.jobs,
        },
        "good_tokens": voided.good_tokens,
        "good_keys": voided.good_keys,
    })
}

fn shown(restored: &Restored) -> String {
    let voided = &restored.voided;
    record(&[
        ("Backup of", moment(restored.backup_of)),
        ("Rows", restored.rows.to_string()),
        ("TLS files", restored.files.to_string()),
        ("Epoch", format!("{}, before {}", voided.epoch, voided.former_epoch)),
        ("Void: tickets", tickets(voided)),
        ("Void: claims", voided.claims.to_string()),
        ("Void: invitations", voided.invitations.to_string()),
        ("Ended: sessions", voided.sessions.to_string()),
        ("Cancelled: jobs", voided.jobs.to_string()),
        ("Good: API tokens", voided.good_tokens.to_string()),
        ("Good: host keys", voided.good_keys.to_string()),
    ])
}

/// Says how many tickets are void, and names those that many machines may hold.
fn tickets(voided: &Voided) -> String {
    let site_keys: Vec<String> = voided
        .tickets
        .iter()
        .filter(|(_, kind)| *kind == TicketKind::SiteKey)
        .map(|(id, kind)| format!("{} {id}", word(kind)))
        .collect();
    let count = voided.tickets.len();
    match site_keys.len() {
        0 => count.to_string(),
        all => {
            let more = if all > NAMED { format!(", and {} more", all - NAMED) } else { String::new() };
            format!("{count}, among them {}{more}", site_keys[..all.min(NAMED)].join(", "))
        }
    }
}

fn to_do(restored: &Restored) -> String {
    format!(
        "\nBefore anything else, if the TLS key was rotated after {at}: start the server and run `muster tls rotate --force` \
         once, or no agent that heard of it connects\n\
         \nWhat happened after {at} is not known any more:\n\
         - keys, hosts, people and API tokens that were revoked, suspended, retired or removed since are good again: do \
         that again (compare with your export of the audit trail)\n\
         - machines that joined since are strangers: let them join again with a new ticket\n\
         - hosts whose key was rotated since show one that is not known: whoever does not come back by themselves needs a \
         rejoin token\n\
         - if the instruction key was switched since, agents believe nothing that this server signs: run `muster \
         instruction-key switch --force` if the next one was announced before, else give machines a join string again\n\
         - site keys are void: make new ones for zero-touch machines\n\
         - secrets that were changed since have their former values: set them again\n\
         - people sign in again; the copy of the state of a host that is newer than the backup cannot be told from the host\n\
         \nnext: start the server with the same options as before; most agents come back by themselves",
        at = moment(restored.backup_of)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voided() -> Voided {
        Voided {
            former_epoch: 0,
            epoch: 7,
            tickets: Vec::new(),
            claims: 0,
            invitations: 0,
            sessions: 0,
            jobs: 0,
            configurations: 0,
            good_tokens: 0,
            good_keys: 0,
        }
    }

    #[test]
    fn c26_who_does_not_come_back_by_themselves_is_said_with_what_to_do() {
        let backup_of = muster_ids::Timestamp::from_millis(1_800_000_000_000);
        let said = to_do(&Restored { backup_of, rows: 0, files: 0, voided: voided() });
        let first = said.find("`muster tls rotate --force`").expect("the way back after a rotation of TLS");
        assert!(first < said.find("revoked").expect("what is to be done again"), "{said}");
        for word in ["rejoin token", "`muster instruction-key switch --force`", "most agents come back"] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }

    #[test]
    fn site_keys_are_named_for_machines_hold_them() {
        let id = |n: u32| format!("{n:012}").parse().unwrap();
        let mut voided = Voided {
            tickets: vec![(id(1), TicketKind::EnrolmentToken), (id(2), TicketKind::SiteKey)],
            ..voided()
        };
        assert_eq!(tickets(&voided), "2, among them site_key 000000000002");
        voided.tickets.pop();
        assert_eq!(tickets(&voided), "1");
        voided.tickets = (0..25).map(|n| (id(n), TicketKind::SiteKey)).collect();
        assert!(tickets(&voided).ends_with("site_key 000000000019, and 5 more"), "{}", tickets(&voided));
    }
}
