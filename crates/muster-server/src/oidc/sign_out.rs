//! Signing out who came by an issuer that no provider has any more.
//!
//! The transaction that takes the provider away leaves a row: from then on nobody comes in by it. People may be many, so
//! their sessions end in chunks: before the reply as far as that goes, by a reconciler after it, so that nobody who was
//! to be signed out can be forgotten.

use std::time::Duration;

use muster_ids::{TeamId, UserId};
use muster_store::rows::IssuerSignOutRow;
use muster_store::{Lock, LockKey, Priority, Tx};
use muster_wire::happening::Happening;
use serde_json::json;

use crate::app::App;
use crate::effects::Ended;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

/// People whom one transaction signs out: what a commit bears.
const AT_ONCE: i64 = 100;
/// How long the reply to a removal waits for the chunks.
const WAITED_FOR: Duration = Duration::from_secs(8);
/// Held by whoever works a chunk off: two do not count the same people.
const SIGN_OUTS: LockKey = LockKey::Named("issuer sign-outs");

/// What was done until the reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// People who are signed out.
    pub signed_out: u32,
    /// Whether there may be more.
    pub more_follow: bool,
}

/// Notes that who came by an issuer is to be signed out, unless another provider has it.
///
/// The caller holds the exclusive lock of the providers.
pub(crate) fn begin(
    unit: &mut Unit<'_, '_>,
    provider: &str,
    issuer: &str,
    author: &Author,
) -> Result<(), Failure> {
    if unit.tx.oidc_issuer_is_known(issuer)? {
        return Ok(());
    }
    unit.tx.issuer_sign_out_insert(&IssuerSignOutRow {
        issuer: issuer.to_owned(),
        provider: provider.to_owned(),
        actor: author.actor.clone(),
        role: author.role,
        source: author.source.clone(),
        asked_at: unit.now,
        after_user: None,
    })?;
    Ok(())
}

/// Signs out before the reply, as long as a person would wait; what is left is the reconciler's.
pub(crate) async fn follow(app: &App, issuer: &str) -> Done {
    let begun_at = app.clock.monotonic();
    let mut done = Done { signed_out: 0, more_follow: true };
    while done.more_follow && app.clock.monotonic().saturating_sub(begun_at) < WAITED_FOR {
        match step(app, issuer).await {
            Ok(chunk) => {
                done.signed_out = done.signed_out.saturating_add(chunk.signed_out);
                done.more_follow = chunk.more_follow;
            }
            Err(failure) => {
                tracing::warn!(issuer, %failure, "people of a removed provider are signed out later");
                break;
            }
        }
    }
    done
}

/// Signs out the next people of an issuer.
pub async fn step(app: &App, issuer: &str) -> Result<Done, Failure> {
    let issuer = issuer.to_owned();
    app.change(Priority::Urgent, app.clock.now(), move |unit| go_on(unit, &issuer)).await
}

fn go_on(unit: &mut Unit<'_, '_>, issuer: &str) -> Result<Done, Failure> {
    let Some(seen) = unit.tx.issuer_sign_out(issuer)? else { return Ok(Done::default()) };
    let next = people(unit.tx, &seen)?;
    let mut locks = vec![Lock::exclusive(SIGN_OUTS)];
    locks.extend(next.iter().map(|(user_id, _)| Lock::exclusive(LockKey::User(*user_id))));
    unit.tx.lock(&locks)?;
    let Some(row) = unit.tx.issuer_sign_out(issuer)? else { return Ok(Done::default()) };
    if row != seen {
        // Somebody else went on, or it begins anew: those who are locked are not the next ones.
        return Ok(Done { signed_out: 0, more_follow: true });
    }
    // Who came in by a provider that has the issuer since is meant no more.
    let until = if unit.tx.oidc_issuer_is_known(issuer)? { row.asked_at } else { unit.now };
    let author = Author { actor: row.actor.clone(), role: row.role, source: row.source.clone() };
    let mut done = Done::default();
    for (user_id, team_id) in &next {
        let ended = unit.tx.web_sessions_end_until(*user_id, until, unit.now)?;
        if ended == 0 {
            continue;
        }
        done.signed_out += 1;
        unit.end(*team_id, Ended::Person(*user_id), "provider removed")?;
        let fact = Fact::new(Happening::WebSessionEnded, *team_id, &author, user_id);
        unit.happened(fact.details(json!({ "ended_sessions": ended, "provider": row.provider })));
    }
    match next.last() {
        Some((last, _)) if i64::try_from(next.len()).is_ok_and(|found| found == AT_ONCE) => {
            unit.tx.issuer_sign_out_went_on(issuer, *last)?;
            done.more_follow = true;
        }
        _ => unit.tx.issuer_sign_out_done(issuer)?,
    }
    Ok(done)
}

fn people(tx: &mut Tx<'_>, row: &IssuerSignOutRow) -> Result<Vec<(UserId, TeamId)>, Failure> {
    Ok(tx.oidc_people(&row.issuer, row.after_user, AT_ONCE)?)
}
