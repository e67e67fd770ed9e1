//! Expiry: what time takes away, in bounded batches.

use std::time::Duration;

use muster_ids::{TeamId, TicketId};
use muster_keyring::OwnerKind;
use muster_store::rows::LapsedClaimRow;
use muster_store::{Lock, LockKey, Priority};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::enrol::claim;
use crate::failure::Failure;
use crate::secrets;
use crate::unit::{Author, Entry};

const EVERY: Duration = Duration::from_secs(60);
const BATCH: i64 = 100;
/// How long the reply of a POST that showed something once can be asked for again.
const REPLIES_KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// Looks every minute until `shutdown`.
pub async fn expiry(app: App, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        match expire(&app).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "clearing what expired failed, trying again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Takes one batch of everything away. `true`: there may be more.
pub async fn expire(app: &App) -> Result<bool, Failure> {
    let claims = lapse_claims(app).await?;
    let tickets = destroy_leftovers(app).await?;
    let replies = forget(app).await?;
    let batch = BATCH as usize;
    Ok(claims >= batch || tickets >= batch || replies >= batch)
}

/// Ends claims nobody decided in time, and frees the tickets they held.
async fn lapse_claims(app: &App) -> Result<usize, Failure> {
    let now = app.clock.now();
    let lapsed = app.look(move |tx| tx.claims_lapsed(now, BATCH)).await?;
    for claim in &lapsed {
        lapse_claim(app, claim.clone()).await?;
    }
    Ok(lapsed.len())
}

async fn lapse_claim(app: &App, claim: LapsedClaimRow) -> Result<(), Failure> {
    app.change(Priority::Normal, app.clock.now(), move |unit| {
        unit.tx.lock(&[Lock::exclusive(LockKey::Ticket(claim.ticket_id))])?;
        Ok(claim::lapse(unit, &claim)?)
    })
    .await
}

/// Destroys the secrets of tickets that open no door any more.
async fn destroy_leftovers(app: &App) -> Result<usize, Failure> {
    let now = app.clock.now();
    let found = app.look(move |tx| tx.tickets_with_leftovers(now, BATCH)).await?;
    for (team_id, ticket_id) in &found {
        destroy(app, *team_id, *ticket_id).await?;
    }
    Ok(found.len())
}

async fn destroy(app: &App, team_id: TeamId, ticket_id: TicketId) -> Result<(), Failure> {
    app.change(Priority::Normal, app.clock.now(), move |unit| {
        unit.tx.lock(&[Lock::exclusive(LockKey::Ticket(ticket_id))])?;
        if unit.tx.ticket_may_open(&ticket_id, unit.now)? {
            return Ok(());
        }
        let destroyed = secrets::destroy_owned(unit, team_id, OwnerKind::Ticket, ticket_id.as_str())?;
        unit.record(Entry {
            team_id,
            author: Author::system(),
            action: "ticket.secrets_destroyed",
            target: ticket_id.to_string(),
            outcome: "ok",
            details: json!({ "count": destroyed }),
        });
        Ok(())
    })
    .await
}

/// Forgets replies that were kept for a retry, and refusals of tickets that are no more.
async fn forget(app: &App) -> Result<usize, Failure> {
    let before = app.clock.now().minus(REPLIES_KEPT_FOR);
    let forgotten = app
        .store
        .write(Priority::Normal, move |tx| {
            Ok::<_, Failure>(tx.idempotent_replies_forget(before, BATCH)?.max(tx.refusals_forget(BATCH)?))
        })
        .await?;
    Ok(usize::try_from(forgotten).unwrap_or(usize::MAX))
}
