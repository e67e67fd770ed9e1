//! From a proved upgrade to a channel that counts: hello, generation, the place in the hub.

use std::time::Duration;

use muster_domain::generation::{Generation, Judgement, Known, judge};
use muster_ids::TeamId;
use muster_proof::{HtuUrl, PublicKey, hello};
use muster_store::rows::PresenceRow;
use muster_store::{Priority, StoreError};
use muster_wire::Object;
use muster_wire::channel::{HelloClaims, close};
use serde_json::json;

use super::open::Open;
use super::wire::End;
use crate::app::App;
use crate::auth::{Agent, accepted_urls};
use crate::failure::Failure;
use crate::unit::{Entry, Event, Unit};

/// Where an agent connects.
pub const PATH: &str = "/v1/agent/connect";
/// How long the first of two connections may take to answer before the second one takes its place.
const FIRST_ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How often a newcomer looks for its place before it must come back later.
const TRIES: usize = 3;
/// Seconds a copy is asked to wait; it should stop using the key instead.
const COPY_RETRY_SECS: u32 = 60;

/// Verifies the hello with the key of the upgrade: nothing but the claims is believed before.
pub(super) fn verify_hello(agent: &Agent, proof: &str) -> Result<HelloClaims, End> {
    let refused = End::policy("the proof of the hello does not hold");
    if !agent.key.is_pair() {
        return serde_json::from_str(proof).map(|Object(claims)| claims).map_err(|_| refused);
    }
    let key = PublicKey::from_bytes(&agent.material).map_err(|_| refused.clone())?;
    hello::verify(proof, &key).map_err(|_| refused)
}

/// Whether a hello names this server: one of its URLs, with the path of the channel or without.
pub(super) fn is_ours(app: &App, url: &str) -> bool {
    HtuUrl::parse(url)
        .is_ok_and(|url| accepted_urls(app, PATH).contains(&url) || accepted_urls(app, "").contains(&url))
}

/// Gives the channel its place and the host its next generation.
///
/// The place is taken before the transaction that relies on the key: a revocation that commits after it finds the
/// channel in the hub and cuts it, one that commits before it is seen by the transaction.
pub(super) async fn admit(app: &App, agent: &Agent, claims: &HelloClaims) -> Result<(Open, String), End> {
    let presented = match &claims.generation {
        None => None,
        Some(text) => {
            let generation = app.keyring.open_generation(agent.host_id, &agent.key, text);
            Some(generation.ok_or(End::policy("the generation is not this server's"))?)
        }
    };
    for _ in 0..TRIES {
        if is_stale(app, agent, presented).await? {
            return Err(stale(app, agent, claims, presented).await);
        }
        let Some(open) = Open::register(app, agent) else {
            if app.hub.first_answers(agent.host_id, FIRST_ANSWERS_WITHIN).await {
                return Err(fenced(app, agent, claims).await);
            }
            continue;
        };
        return match issue(app, agent, presented, &claims.boot_id).await? {
            Some(issued) => Ok((open, app.keyring.seal_generation(agent.host_id, &agent.key, issued))),
            None => Err(stale(app, agent, claims, presented).await),
        };
    }
    Err(End::goodbye(close::TRY_LATER, "busy", 5))
}

async fn is_stale(app: &App, agent: &Agent, presented: Option<Generation>) -> Result<bool, End> {
    let (host_id, key) = (agent.host_id, agent.key);
    let known = app.look(move |tx| tx.host_generation(host_id, &key)).await.map_err(End::from)?;
    let known = known.ok_or(End::close(close::TRY_LATER, "try later"))?;
    Ok(judge(presented, &known, app.installation.epoch) == Judgement::Stale)
}

/// Stores the next generation. `None`: it turned out to be a stale one meanwhile.
async fn issue(
    app: &App,
    agent: &Agent,
    presented: Option<Generation>,
    boot_id: &str,
) -> Result<Option<Generation>, End> {
    let (agent, boot_id, epoch) = (agent.clone(), boot_id.to_owned(), app.installation.epoch);
    let issued = app.change(Priority::Normal, app.clock.now(), move |unit| {
        agent.still_may(unit)?;
        unit.tx.generation_adopt(agent.host_id, &agent.key)?;
        let known = unit.tx.host_generation(agent.host_id, &agent.key)?.ok_or(Failure::NotFound)?;
        let (holds, issue) = match judge(presented, &known, epoch) {
            Judgement::Stale => return Ok(None),
            Judgement::Current { holds, issue } => (holds, issue),
            Judgement::ServerLostState { holds, issue } => {
                tell_lost_state(unit, &agent, &known, holds)?;
                (holds, issue)
            }
        };
        if !unit.tx.generation_issue(agent.host_id, &known, holds, issue, &boot_id)? {
            return Err(StoreError::Conflict.into());
        }
        let sign = PresenceRow { seq: agent.seq, seen_at: unit.now, said_goodbye: false };
        unit.tx.presence_flush(&[sign])?;
        Ok(Some(issue))
    });
    Ok(issued.await?)
}

/// One event for the installation, however many hosts are ahead of it.
fn tell_lost_state(
    unit: &mut Unit<'_, '_>,
    agent: &Agent,
    known: &Known,
    holds: Generation,
) -> Result<(), Failure> {
    if !unit.tx.installation_insert(&format!("state_lost_in_epoch_{}", known.committed.epoch), b"told")? {
        return Ok(());
    }
    let team_id: TeamId = unit.tx.platform_team_id()?.unwrap_or(agent.team_id);
    unit.tell(Event {
        team_id,
        kind: "installation.state_lost",
        subject: agent.host_id.to_string(),
        payload: json!({ "known": known.committed.counter, "shown": holds.counter }),
    });
    Ok(())
}

async fn stale(app: &App, agent: &Agent, claims: &HelloClaims, presented: Option<Generation>) -> End {
    let evidence = json!({
        "reason": "generation_stale",
        "boot_id": claims.boot_id,
        "generation": presented.map(|shown| json!({ "epoch": shown.epoch, "counter": shown.counter })),
        "source": agent.source,
    });
    suspect(app, agent, &claims.boot_id, evidence).await;
    End::goodbye(close::GENERATION_STALE, "generation_stale", COPY_RETRY_SECS)
}

async fn fenced(app: &App, agent: &Agent, claims: &HelloClaims) -> End {
    let evidence = json!({ "reason": "fenced", "boot_id": claims.boot_id, "source": agent.source });
    suspect(app, agent, &claims.boot_id, evidence).await;
    End::goodbye(close::FENCED, "fenced", COPY_RETRY_SECS)
}

/// Records a suspected copy, once per start of a machine; the host itself is left as it is.
async fn suspect(app: &App, agent: &Agent, boot_id: &str, evidence: serde_json::Value) {
    let (agent, boot_id) = (agent.clone(), boot_id.to_owned());
    let recorded = app.change(Priority::Normal, app.clock.now(), move |unit| {
        agent.still_may(unit)?;
        if !unit.tx.generation_suspect(agent.host_id, &boot_id)? {
            return Ok(());
        }
        unit.record(Entry {
            team_id: agent.team_id,
            author: agent.author(),
            action: "clone.suspected",
            target: agent.host_id.to_string(),
            outcome: "refused",
            details: evidence.clone(),
        });
        unit.tell(Event {
            team_id: agent.team_id,
            kind: "clone.suspected",
            subject: agent.host_id.to_string(),
            payload: evidence.clone(),
        });
        Ok(())
    });
    if let Err(error) = recorded.await {
        tracing::warn!(%error, "recording a suspected copy failed");
    }
}
