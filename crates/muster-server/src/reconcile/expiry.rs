//! Expiry: what time takes away, in bounded batches.

use std::time::Duration;

use muster_domain::web_session::IDLE_FOR;
use muster_ids::{TeamId, TicketId};
use muster_store::rows::LapsedClaimRow;
use muster_store::{Lock, LockKey, Priority, Tx};
use muster_wire::happening::Happening;
use muster_wire::settings::SettingName;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, drop_rows, each, run};
use crate::app::App;
use crate::enrol::claim;
use crate::failure::Failure;
use crate::metrics::Reconciler;
use crate::secrets::{self, Owners};
use crate::settings::days_before;
use crate::unit::{Author, Fact};

const EVERY: Duration = Duration::from_secs(60);
const BATCH: i64 = 100;
/// How far what is stored of a session's last use may be behind: a session in use is not ended for it.
const USES_ARE_LATE: Duration = Duration::from_secs(60);
/// How long the reply of a POST that showed something once can be asked for again.
const REPLIES_KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// Looks every minute until `shutdown`.
pub async fn expiry(app: App, shutdown: CancellationToken) {
    let step = async |app: App| Ok(if expire(&app).await? { Step::More } else { Step::Done });
    run(&app, Reconciler::Expiry, Pace { every: EVERY, nudge: None }, &shutdown, step).await;
}

/// Takes one batch of everything away; what cannot be taken away keeps nothing else. `true`: there may be more.
pub async fn expire(app: &App) -> Result<bool, Failure> {
    let taken = [
        lapse_claims(app).await,
        lapse_tickets(app).await,
        lapse_credentials(app).await,
        destroy_leftovers(app).await,
        forget_replies(app).await,
        forget_sessions(app).await,
        forget_tokens(app).await,
    ];
    let mut is_full = false;
    for taken in taken {
        is_full |= taken? >= BATCH as usize;
    }
    Ok(is_full)
}

/// Ends claims nobody decided in time, and frees the tickets they held.
async fn lapse_claims(app: &App) -> Result<usize, Failure> {
    let now = app.clock.now();
    let lapsed = app.look(move |tx| tx.claims_lapsed(now, BATCH)).await?;
    each(lapsed, |claim| claim.id.to_string(), |claim| lapse_claim(app, claim)).await
}

async fn lapse_claim(app: &App, claim: LapsedClaimRow) -> Result<(), Failure> {
    app.change(Priority::Normal, app.clock.now(), move |unit| {
        let tickets: Vec<Lock> =
            claim.ticket_id.into_iter().map(|id| Lock::exclusive(LockKey::Ticket(id))).collect();
        unit.tx.lock(&tickets)?;
        Ok(claim::lapse(unit, &claim)?)
    })
    .await
}

/// Ends tickets whose time is over: none of them opens again when the clock is set back.
async fn lapse_tickets(app: &App) -> Result<usize, Failure> {
    let now = app.clock.now();
    let lapsed = app.look(move |tx| tx.tickets_lapsed(now, BATCH)).await?;
    each(lapsed, TicketId::to_string, |ticket_id| lapse_ticket(app, ticket_id)).await
}

async fn lapse_ticket(app: &App, ticket_id: TicketId) -> Result<(), Failure> {
    let now = app.clock.now();
    let lapse = move |tx: &mut Tx<'_>| {
        tx.lock(&[Lock::exclusive(LockKey::Ticket(ticket_id))])?;
        tx.ticket_lapse(&ticket_id, now).map(drop).map_err(Failure::from)
    };
    app.store.write(Priority::Normal, lapse).await
}

/// Ends API tokens, invitations and sessions whose time is over, for the same reason.
async fn lapse_credentials(app: &App) -> Result<usize, Failure> {
    let now = app.clock.now();
    drop_rows(app, move |tx| tx.credentials_lapse(now, now.minus(IDLE_FOR + USES_ARE_LATE), BATCH)).await
}

/// Destroys the secrets of tickets that open no door any more.
async fn destroy_leftovers(app: &App) -> Result<usize, Failure> {
    let now = app.clock.now();
    let found = app.look(move |tx| tx.tickets_with_leftovers(now, BATCH)).await?;
    each(
        found,
        |(_, ticket_id)| ticket_id.to_string(),
        |(team_id, ticket_id)| destroy(app, team_id, ticket_id),
    )
    .await
}

async fn destroy(app: &App, team_id: TeamId, ticket_id: TicketId) -> Result<(), Failure> {
    app.change(Priority::Normal, app.clock.now(), move |unit| {
        unit.tx.lock(&[Lock::exclusive(LockKey::Ticket(ticket_id))])?;
        if unit.tx.ticket_may_open(&ticket_id, unit.now)? {
            return Ok(());
        }
        let destroyed = secrets::destroy_owned(unit, &Owners::tickets(team_id, &[ticket_id]))?;
        let fact = Fact::new(Happening::TicketSecretsDestroyed, team_id, &Author::system(), ticket_id);
        unit.happened(fact.details(json!({ "count": destroyed })));
        Ok(())
    })
    .await
}

/// Forgets replies that were kept for a retry.
async fn forget_replies(app: &App) -> Result<usize, Failure> {
    let before = app.clock.now().minus(REPLIES_KEPT_FOR);
    drop_rows(app, move |tx| tx.idempotent_replies_forget(before, BATCH)).await
}

/// Forgets sessions that lapsed long ago.
async fn forget_sessions(app: &App) -> Result<usize, Failure> {
    let now = app.clock.now();
    drop_rows(app, move |tx| {
        let before = days_before(tx, SettingName::SessionsKeepDays, now)?;
        tx.web_sessions_forget(before, BATCH)
    })
    .await
}

/// Forgets API tokens and invitations that ended long ago; the audit trail remembers them.
async fn forget_tokens(app: &App) -> Result<usize, Failure> {
    let now = app.clock.now();
    drop_rows(app, move |tx| {
        let before = days_before(tx, SettingName::TokensKeepDays, now)?;
        let tokens = tx.operator_tokens_forget(before, BATCH)?;
        Ok(tokens.max(tx.invitations_forget(before, BATCH)?))
    })
    .await
}
