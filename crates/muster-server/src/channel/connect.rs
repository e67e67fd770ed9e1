//! From a proved upgrade to a channel that counts: hello, generation, the place in the hub.

use std::sync::Arc;
use std::time::Duration;

use muster_domain::agent_key::takes_over;
use muster_domain::generation::{Generation, Judgement, Known, judge};
use muster_ids::{KeyName, TeamId};
use muster_proof::{HtuUrl, PublicKey, hello};
use muster_store::rows::PresenceRow;
use muster_store::{Priority, StoreError};
use muster_wire::Object;
use muster_wire::channel::{HelloClaims, close};
use muster_wire::claim::CopyCause;
use muster_wire::happening::Happening;
use muster_wire::parting::GoodbyeReason;
use serde_json::json;

use super::hub::{HELD_RETRY_SECS, SUPERSEDED_RETRY_SECS};
use super::open::Open;
use super::wire::{End, Wire};
use crate::app::App;
use crate::auth::{Agent, accepted_urls};
use crate::enrol::copies::{self, Copy};
use crate::enrol::next_key;
use crate::failure::Failure;
use crate::revocations::must_be_seen;
use crate::unit::{Fact, Unit};

/// Where an agent connects.
pub const PATH: &str = "/v1/agent/connect";
/// How long the first of two connections may take to answer before the second one takes its place.
pub(crate) const FIRST_ANSWERS_WITHIN: Duration = Duration::from_secs(2);
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
pub(super) async fn admit(
    app: &App,
    agent: &Agent,
    claims: &HelloClaims,
    wire: &mut Wire,
) -> Result<(Open, String), End> {
    must_be_seen(app)?;
    let presented = match &claims.generation {
        None => None,
        Some(text) => {
            let generation = app.keyring.open_generation(agent.host_id, &agent.key, text);
            Some(generation.ok_or(End::policy("the generation is not this server's"))?)
        }
    };
    for _ in 0..TRIES {
        let standing = standing(app, agent, presented).await?;
        if standing.is_stale {
            return Err(copied(app, agent, claims, wire, presented, CopyCause::GenerationStale).await);
        }
        if standing.is_held {
            return Err(End::goodbye(GoodbyeReason::Held, HELD_RETRY_SECS));
        }
        let Some(open) = Open::register(app, agent) else {
            match app.hub.key_of(agent.host_id) {
                None => continue,
                Some(open) if open != agent.key && !(open.is_pair() && agent.key.is_pair()) => {
                    other_key(app, agent, open).await?;
                    continue;
                }
                Some(_) => {}
            }
            if app.hub.first_answers(agent.host_id, FIRST_ANSWERS_WITHIN).await {
                return Err(copied(app, agent, claims, wire, presented, CopyCause::Fenced).await);
            }
            continue;
        };
        return match issue(app, agent, presented, &claims.boot_id).await? {
            Some(issued) => Ok((open, app.keyring.seal_generation(agent.host_id, &agent.key, issued))),
            None => {
                // Its own place must not look like the holder's.
                drop(open);
                Err(copied(app, agent, claims, wire, presented, CopyCause::GenerationStale).await)
            }
        };
    }
    Err(End::goodbye(GoodbyeReason::Busy, 5))
}

/// A host may hold two agent keys while one takes the place of the other: two holders are no copy of each other, and
/// the one with the newer key gets the channel. Two key pairs have one holder, which closes the channel of the former key
/// before it comes with the next one: whoever finds it open is not alone.
async fn other_key(app: &App, agent: &Agent, open: KeyName) -> Result<(), End> {
    let own = agent.key;
    let dates = app.look(move |tx| {
        let mut made_at = |key| Ok::<_, StoreError>(tx.host_key(&key)?.map(|row| (key, row.created_at)));
        Ok(made_at(own)?.zip(made_at(open)?))
    });
    let dates = dates.await.map_err(End::from)?;
    let (own, open) = dates.ok_or(End::close(close::TRY_LATER, "try later"))?;
    if !takes_over(own, open) {
        return Err(End::goodbye(GoodbyeReason::Superseded, SUPERSEDED_RETRY_SECS));
    }
    app.hub.give_way(agent.host_id, open.0).await;
    Ok(())
}

/// What is known of whoever said a good hello.
struct Standing {
    /// Whether the server knows a newer state of the host.
    is_stale: bool,
    /// Whether the host is held, whichever state was shown.
    is_held: bool,
}

async fn standing(app: &App, agent: &Agent, presented: Option<Generation>) -> Result<Standing, End> {
    let (key, team_id, host_id) = (agent.key, agent.team_id, agent.host_id);
    let read = app.look(move |tx| Ok((tx.key_generation(&key)?, tx.host_held_at(team_id, host_id)?)));
    let (known, held_at) = read.await.map_err(End::from)?;
    let is_stale = judge(presented, &known, app.installation.epoch) == Judgement::Stale;
    Ok(Standing { is_stale, is_held: held_at.is_some() })
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
        next_key::settle(unit, &agent)?;
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

/// Finds out a copy, if somebody is there: a hello that was under way, or waited here, while its machine gave up and came
/// back on another connection looks like an older state's, and nobody is behind it. That machine came back at the same
/// start: one of another start is a copy, though it says no word more.
async fn copied(
    app: &App,
    agent: &Agent,
    claims: &HelloClaims,
    wire: &mut Wire,
    presented: Option<Generation>,
    cause: CopyCause,
) -> End {
    if !wire.answers(FIRST_ANSWERS_WITHIN).await && is_start_of_holder(app, agent, claims).await {
        return End::Gone;
    }
    match vouching_key(app, agent).await {
        Some(former_key) => suspect(app, copy(agent, former_key, claims, presented, cause)).await,
        None => return End::KeyEnded,
    }
    let reason = match cause {
        CopyCause::Fenced => GoodbyeReason::Fenced,
        _ => GoodbyeReason::GenerationStale,
    };
    End::goodbye(reason, COPY_RETRY_SECS)
}

async fn is_start_of_holder(app: &App, agent: &Agent, claims: &HelloClaims) -> bool {
    let key = agent.key;
    let holder = app.look(move |tx| tx.boot_id_of_key(&key)).await;
    holder.is_ok_and(|boot_id| boot_id.as_ref() == Some(&claims.boot_id))
}

/// The key a copy is one of: the active one, also where it showed the one that was to take its place.
async fn vouching_key(app: &App, agent: &Agent) -> Option<KeyName> {
    if !agent.is_next {
        return Some(agent.key);
    }
    let host_id = agent.host_id;
    let active = app.look(move |tx| tx.host_keys_active(host_id)).await;
    active.ok()?.first().map(|key| key.name)
}

fn copy(
    agent: &Agent,
    former_key: KeyName,
    claims: &HelloClaims,
    shown: Option<Generation>,
    cause: CopyCause,
) -> Copy {
    Copy {
        host_id: agent.host_id,
        team_id: agent.team_id,
        former_key,
        cause,
        shown,
        boot_id: claims.boot_id.clone(),
        source: agent.source.clone(),
        own: None,
    }
}

/// Makes a copy a question, once for each start of its machine; whether that succeeds or not, it gets nothing.
async fn suspect(app: &App, copy: Copy) {
    let now = app.clock.now();
    let (inner, copy) = (app.clone(), Arc::new(copy));
    let (looking, seen) = (app.clone(), Arc::clone(&copy));
    let recorded = match app.look(move |tx| copies::is_settled(tx, &looking, &seen, now)).await {
        Ok(true) => return,
        Ok(false) => {
            app.change(Priority::Normal, now, move |unit| copies::found_out(unit, &inner, &copy)).await
        }
        Err(failure) => Err(failure),
    };
    if let Err(error) = recorded {
        tracing::warn!(%error, "recording a suspected copy failed");
    }
}
