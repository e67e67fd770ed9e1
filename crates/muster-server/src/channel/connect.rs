//! From a proved upgrade to a channel that counts: hello, generation, the place in the hub.

use std::time::Duration;

use muster_domain::agent_key::takes_over;
use muster_domain::generation::{Generation, Judgement, Known, judge};
use muster_ids::{KeyName, TeamId};
use muster_proof::{HtuUrl, PublicKey, hello};
use muster_store::rows::PresenceRow;
use muster_store::{Priority, StoreError};
use muster_wire::Object;
use muster_wire::channel::{HelloClaims, close};
use muster_wire::happening::Happening;
use serde_json::json;

use super::hub::SUPERSEDED_RETRY_SECS;
use super::open::Open;
use super::wire::End;
use crate::app::App;
use crate::auth::{Agent, accepted_urls};
use crate::failure::Failure;
use crate::unit::{Fact, Unit};

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
            match app.hub.key_of(agent.host_id) {
                None => continue,
                Some(open) if open != agent.key => {
                    other_key(app, agent, open).await?;
                    continue;
                }
                Some(_) => {}
            }
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

/// A host may hold two agent keys while one takes the place of the other: two holders are no copy of each other, and
/// the one with the newer key gets the channel.
async fn other_key(app: &App, agent: &Agent, open: KeyName) -> Result<(), End> {
    let own = agent.key;
    let dates = app.look(move |tx| {
        let mut made_at = |key| Ok::<_, StoreError>(tx.host_key(&key)?.map(|row| (key, row.created_at)));
        Ok(made_at(own)?.zip(made_at(open)?))
    });
    let dates = dates.await.map_err(End::from)?;
    let (own, open) = dates.ok_or(End::close(close::TRY_LATER, "try later"))?;
    if !takes_over(own, open) {
        return Err(End::goodbye(close::TRY_LATER, "superseded", SUPERSEDED_RETRY_SECS));
    }
    app.hub.give_way(agent.host_id, open.0).await;
    Ok(())
}

async fn is_stale(app: &App, agent: &Agent, presented: Option<Generation>) -> Result<bool, End> {
    let key = agent.key;
    let known = app.look(move |tx| tx.key_generation(&key)).await.map_err(End::from)?;
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
        unit.tx.generation_begin(agent.host_id, &agent.key)?;
        let known = unit.tx.key_generation(&agent.key)?;
        let (holds, issue) = match judge(presented, &known, epoch) {
            Judgement::Stale => return Ok(None),
            Judgement::Current { holds, issue } => (holds, issue),
            Judgement::ServerLostState { holds, issue } => {
                tell_lost_state(unit, &agent, &known, holds)?;
                (holds, issue)
            }
        };
        if !unit.tx.generation_issue(&agent.key, &known, holds, issue, &boot_id)? {
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
    let details = json!({ "known": known.committed.counter, "shown": holds.counter });
    let fact = Fact::new(Happening::InstallationStateLost, team_id, &agent.author(), agent.host_id);
    unit.happened(fact.of_host(agent.host_id).details(details));
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
        if !unit.tx.generation_suspect(agent.host_id, &agent.key, &boot_id)? {
            return Ok(());
        }
        let fact = Fact::new(Happening::CloneSuspected, agent.team_id, &agent.author(), agent.host_id);
        unit.happened(fact.of_host(agent.host_id).outcome("refused").details(evidence.clone()));
        Ok(())
    });
    if let Err(error) = recorded.await {
        tracing::warn!(%error, "recording a suspected copy failed");
    }
}
