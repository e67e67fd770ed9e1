//! `/v1/claims`: machines that wait for a person, with what the decision rests on.

use axum::extract::State;
use muster_domain::claim::{differences, verdicts};
use muster_domain::presence::presence;
use muster_http::{Problem, Reply, StrictJson, StrictPath, StrictQuery};
use muster_ids::{ClaimId, SiteId, Timestamp};
use muster_store::rows::{ClaimFilter, ShownHost};
use muster_wire::claim::{Claim, ClaimMachine, ClaimState, ContestedHost, DecideClaim};
use muster_wire::page::{Page, PageLimit};
use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::claim::{self, ShownClaim};
use crate::failure::Failure;
use crate::host_view::signs_of_life;
use crate::unit::Unit;

const LIST: &str = "claims";

/// The claim of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ClaimPath {
    /// The claim.
    pub claim_id: ClaimId,
}

/// The query of the list of claims.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct ClaimQuery {
    /// Only those that stand here.
    pub state: Option<ClaimState>,
    /// Only those at this site.
    pub site_id: Option<SiteId>,
    /// How many items.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// `GET /v1/claims`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictQuery(query): StrictQuery<ClaimQuery>,
) -> Result<Reply<Page<Claim>>, Problem> {
    let now = app.clock.now();
    let after = open_cursor(&app, actor.team_id, LIST, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let filter = ClaimFilter { state: query.state, site_id: query.site_id };
    let shown = app
        .look(move |tx| {
            let rows = tx.claims(actor.team_id, filter, after, limit + 1)?;
            rows.into_iter().map(|row| ShownClaim::load(tx, row)).collect::<Result<Vec<_>, _>>()
        })
        .await?;
    let view = |shown| view(&app, shown, now);
    Ok(Reply::new(page(&app, actor.team_id, LIST, shown, limit, |shown| shown.row.id, view)?))
}

/// `GET /v1/claims/{claim_id}`
pub async fn get(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictPath(path): StrictPath<ClaimPath>,
) -> Result<Reply<Claim>, Problem> {
    let shown = app
        .look(move |tx| match tx.claim(actor.team_id, path.claim_id)? {
            Some(row) => ShownClaim::load(tx, row).map(Some),
            None => Ok(None),
        })
        .await?;
    Ok(Reply::new(view(&app, shown.ok_or(Failure::NotFound)?, app.clock.now())))
}

/// `POST /v1/claims/{claim_id}/decision`
pub async fn decide(
    State(app): State<App>,
    actor: Actor<permits::DecideClaims>,
    StrictPath(path): StrictPath<ClaimPath>,
    StrictJson(decision): StrictJson<DecideClaim>,
) -> Result<Reply<Claim>, Problem> {
    let now = app.clock.now();
    let inner = app.clone();
    let claim = actor
        .change(&app, now, move |unit, actor| {
            claim::decide(unit, &inner, actor.team_id, path.claim_id, &decision, &actor.author())?;
            shown(unit, &inner, actor, path.claim_id)
        })
        .await?;
    Ok(Reply::new(claim))
}

/// `POST /v1/claims/{claim_id}/clear`
pub async fn clear(
    State(app): State<App>,
    actor: Actor<permits::DecideClaims>,
    StrictPath(path): StrictPath<ClaimPath>,
) -> Result<Reply<Claim>, Problem> {
    let now = app.clock.now();
    let inner = app.clone();
    let claim = actor
        .change(&app, now, move |unit, actor| {
            claim::clear(unit, actor.team_id, path.claim_id, &actor.author())?;
            shown(unit, &inner, actor, path.claim_id)
        })
        .await?;
    Ok(Reply::new(claim))
}

fn shown<P>(unit: &mut Unit<'_, '_>, app: &App, actor: &Actor<P>, id: ClaimId) -> Result<Claim, Failure> {
    let row = unit.tx.claim(actor.team_id, id)?.ok_or(Failure::NotFound)?;
    Ok(view(app, ShownClaim::load(unit.tx, row)?, unit.now))
}

fn view(app: &App, shown: ShownClaim, now: Timestamp) -> Claim {
    let evidence_version = shown.evidence_version();
    let ShownClaim { row, contested, secrets, .. } = shown;
    let arrival = contested.as_ref().and_then(|host| host.row.arrival.as_ref());
    let differences = differences(
        arrival.map(|arrival| arrival.hostname.as_str()),
        arrival.map(|arrival| &arrival.facts),
        &row.machine,
    );
    let has_lapsed = row.state == ClaimState::Waiting && now >= row.expires_at;
    let machine = row.machine;
    Claim {
        id: row.id,
        site_id: row.site_id,
        reason: row.reason,
        state: if has_lapsed { ClaimState::Expired } else { row.state },
        verdicts: verdicts(row.reason).to_vec(),
        machine: ClaimMachine {
            hostname: machine.hostname,
            machine_uid: machine.uid,
            key: machine.key,
            facts: machine.facts,
            labels: machine.labels,
            source_address: row.source_address,
            ticket_id: row.ticket_id,
        },
        contested: contested.map(|host| contested_host(app, host, secrets, now)),
        differences,
        evidence_version,
        created_at: row.created_at,
        expires_at: row.expires_at,
        decided_at: row.decided_at,
        result_host_id: row.result_host_id,
    }
}

fn contested_host(app: &App, host: ShownHost, secrets: Vec<String>, now: Timestamp) -> ContestedHost {
    let signs = signs_of_life(app, host.row.id, host.sign);
    ContestedHost {
        id: host.row.id,
        name: host.row.name,
        state: host.row.state,
        presence: presence(host.row.state, &signs, now),
        last_seen_at: signs.seen_at,
        hostname: host.row.arrival.map(|arrival| arrival.hostname),
        site_id: host.row.site_id,
        keys: host.keys,
        secrets,
    }
}
