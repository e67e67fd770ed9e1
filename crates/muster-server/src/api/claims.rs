//! `/v1/claims`: machines that wait for a person, with what the decision rests on.

use axum::extract::State;
use muster_domain::claim::differences;
use muster_domain::presence::presence;
use muster_http::{Problem, Reply, StrictJson, StrictPath, StrictQuery};
use muster_ids::{ClaimId, HostId, SiteId, Timestamp};
use muster_store::rows::{ClaimFilter, ShownHost};
use muster_wire::claim::{
    Claim, ClaimMachine, ClaimReason, ClaimState, ContestedHost, DecideClaim, DecideClaims, DecidedClaim,
    DecidedClaims, DecisionRefused, OneDecision,
};
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
    /// Only those that wait for this.
    pub reason: Option<ClaimReason>,
    /// Only those that contest this host.
    pub host_id: Option<HostId>,
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
    let ClaimQuery { state, site_id, reason, host_id, .. } = query;
    let filter = ClaimFilter { state, site_id, reason, host_id };
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
            claim::decide(unit, &inner, actor, path.claim_id, &decision)?;
            shown(unit, &inner, actor, path.claim_id)
        })
        .await?;
    Ok(Reply::new(claim))
}

/// `POST /v1/claims/decisions`: whoever names a claim that is not there decides none.
pub async fn decide_many(
    State(app): State<App>,
    actor: Actor<permits::DecideClaims>,
    StrictJson(request): StrictJson<DecideClaims>,
) -> Result<Reply<DecidedClaims>, Problem> {
    let actor_team = actor.team_id;
    let ids: Vec<ClaimId> = request.decisions.iter().map(|one| one.claim_id).collect();
    let are_there = app
        .look(move |tx| ids.iter().try_fold(true, |are, id| Ok(are && tx.claim(actor_team, *id)?.is_some())));
    if !are_there.await? {
        return Err(Failure::NotFound.into());
    }
    let mut items = Vec::with_capacity(request.decisions.len());
    for one in request.decisions {
        items.push(decide_one(&app, actor.clone(), one).await);
    }
    Ok(Reply::new(DecidedClaims { items }))
}

/// Decides one claim of many. What it is refused for is said with it, and leaves the others be.
async fn decide_one(app: &App, actor: Actor<permits::DecideClaims>, one: OneDecision) -> DecidedClaim {
    let OneDecision { claim_id, verdict, evidence_version, with_secrets } = one;
    let decision = DecideClaim { verdict, evidence_version, with_secrets };
    let inner = app.clone();
    let decided = actor
        .change(app, app.clock.now(), move |unit, actor| {
            claim::decide(unit, &inner, actor, claim_id, &decision)?;
            unit.tx.claim(actor.team_id, claim_id)?.ok_or(Failure::NotFound)
        })
        .await;
    match decided {
        Ok(row) => {
            let (state, result_host_id) = (Some(row.state), row.result_host_id);
            DecidedClaim { claim_id, state, result_host_id, refused: None }
        }
        Err(failure) => {
            tracing::debug!(%claim_id, %failure, "one claim of many was not decided");
            let problem = Problem::from(failure);
            let (code, detail) = (problem.code().to_owned(), problem.detail().to_owned());
            let refused = Some(DecisionRefused { code, detail });
            DecidedClaim { claim_id, state: None, result_host_id: None, refused }
        }
    }
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
    let has_lapsed = shown.row.state == ClaimState::Waiting && !shown.waits(now);
    let verdicts = shown.verdicts().to_vec();
    let ShownClaim { row, contested, secrets, .. } = shown;
    let arrival = contested.as_ref().and_then(|host| host.row.arrival.as_ref());
    let differences = differences(
        arrival.map(|arrival| arrival.hostname.as_str()),
        arrival.map(|arrival| &arrival.facts),
        &row.machine,
    );
    let machine = row.machine;
    Claim {
        id: row.id,
        site_id: row.site_id,
        reason: row.reason,
        state: if has_lapsed { ClaimState::Expired } else { row.state },
        verdicts,
        machine: ClaimMachine {
            hostname: machine.hostname,
            machine_uid: machine.uid,
            key: machine.key,
            facts: machine.facts,
            labels: machine.labels,
            source_address: row.source_address,
            ticket_id: row.ticket_id,
            former_key: row.former_key,
        },
        contested: contested.map(|host| contested_host(app, host, secrets, now)),
        differences,
        sighting: row.sighting,
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
