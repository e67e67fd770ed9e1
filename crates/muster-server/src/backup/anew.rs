//! The last step of a restore: the server begins a new epoch, and nothing that may have been used since goes on.

use std::sync::Arc;

use muster_edge::Entropy;
use muster_ids::{TicketId, Timestamp};
use muster_keyring::Keyring;
use muster_store::{Priority, Store, StoreError, Tx};
use muster_wire::happening::Happening;
use muster_wire::ticket::TicketKind;
use serde::Serialize;
use serde_json::json;

use super::Header;
use super::left::{RESTORED_FACT, UNFINISHED_FACT};
use crate::failure::Failure;
use crate::installation::EPOCH;
use crate::unit::{Author, Fact, Unit};

/// Who acts in the audit trail.
const RESTORE: &str = "restore";
const CANCELLED: &str = "the server was restored from a backup: run it again if it did not run";

/// What a restore ended, and what it leaves to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Voided {
    /// The epoch of the backup.
    pub former_epoch: u32,
    /// The epoch that began.
    pub epoch: u32,
    /// Tickets that opened a door: revoked.
    pub tickets: Vec<(TicketId, TicketKind)>,
    /// Claims that waited: closed.
    pub claims: u64,
    /// Invitations that could be accepted: revoked.
    pub invitations: u64,
    /// Sessions of browsers: ended.
    pub sessions: u64,
    /// Jobs that waited for their host: cancelled.
    pub jobs: u64,
    /// Hosts whose configuration is sent again.
    pub configurations: u64,
    /// API tokens that are good, also those that were revoked after the backup.
    pub good_tokens: u64,
    /// Keys of hosts that are good, also those that were revoked after the backup.
    pub good_keys: u64,
}

/// Ends the restore in one transaction.
pub(super) async fn begin(
    store: &Store,
    keyring: &Arc<Keyring>,
    header: &Header,
    mark: &[u8],
    now: Timestamp,
) -> Result<Voided, Failure> {
    let (seed, keyring) = (Entropy.seed(), Arc::clone(keyring));
    let (header, mark) = (header.clone(), mark.to_vec());
    let written = store.write(Priority::Urgent, move |tx: &mut Tx<'_>| {
        let mut unit = Unit::new(tx, now, &seed);
        let voided = void(&mut unit, &header)?;
        unit.tx.installation_set(RESTORED_FACT, &mark)?;
        unit.tx.installation_remove(UNFINISHED_FACT)?;
        unit.finish(&keyring)?;
        Ok::<_, Failure>(voided)
    });
    written.await
}

fn void(unit: &mut Unit<'_, '_>, header: &Header) -> Result<Voided, StoreError> {
    let (tx, now) = (&mut *unit.tx, unit.now);
    let epoch = epoch_after(header.epoch, now);
    tx.installation_set(EPOCH, &epoch.to_be_bytes())?;
    tx.idempotent_replies_void()?;
    let voided = Voided {
        former_epoch: header.epoch,
        epoch,
        claims: tx.waiting_claims_void(RESTORE, now)?,
        tickets: tx.open_tickets_void(now)?,
        invitations: tx.open_invitations_void(now)?,
        sessions: tx.web_sessions_void(now)?,
        jobs: tx.queued_jobs_void(CANCELLED, now)?,
        configurations: tx.host_configs_begin_epoch(epoch, now)?,
        good_tokens: tx.operator_tokens_good(now)?,
        good_keys: tx.host_keys_good()?,
    };
    // Without a platform team nobody set the server up: there is no trail yet.
    if let Some(team_id) = tx.platform_team_id()? {
        let author = Author { actor: RESTORE.to_owned(), role: None, source: "-".to_owned() };
        let fact = Fact::new(Happening::InstallationRestored, team_id, &author, "installation");
        unit.happened(fact.details(json!({
            "backup_of": header.created_at,
            "former_epoch": voided.former_epoch,
            "epoch": voided.epoch,
            "tickets": voided.tickets.len(),
            "claims": voided.claims,
            "invitations": voided.invitations,
            "sessions": voided.sessions,
            "jobs": voided.jobs,
        })));
    }
    Ok(voided)
}

/// Returns the epoch of a restore. It is the second of the restore, for nobody remembers an earlier restore of the same
/// backup: what hosts hold of that one must be older than what they get now.
fn epoch_after(former: u32, now: Timestamp) -> u32 {
    let secs = u32::try_from(now.as_millis() / 1000).unwrap_or_default();
    former.saturating_add(1).max(secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_restore_has_a_later_epoch_than_the_one_before() {
        let at = |secs: i64| Timestamp::from_millis(secs * 1000);
        assert_eq!(epoch_after(0, at(1_800_000_000)), 1_800_000_000);
        assert!(
            epoch_after(0, at(1_800_000_060)) > epoch_after(0, at(1_800_000_000)),
            "the same backup, later"
        );
        assert_eq!(epoch_after(1_800_000_000, at(1_700_000_000)), 1_800_000_001, "a clock that went back");
        assert_eq!(epoch_after(7, at(-1)), 8);
        assert_eq!(epoch_after(7, at(i64::MAX / 1000)), 8);
    }
}
