//! Signed-in sessions: how one begins, whichever way its owner came.

mod former;
pub(crate) mod guess;
pub(crate) mod second_factor;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use muster_domain::web_session::{IDLE_FOR, LIVES_FOR, MOST};
use muster_http::ListenerKind;
use muster_ids::{Bearer, BearerKind, TeamId, UserId, WebSessionId};
use muster_keyring::Keyring;
use muster_store::rows::WebSessionRow;
use muster_wire::happening::Happening;
use muster_wire::people::Role;
use muster_wire::sign_in::SignInMethod;
use serde_json::json;

use crate::auth::web_session;
use crate::effects::Ended;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

pub(crate) use former::Former;

/// What is kept of the name a browser gives itself, in characters.
const USER_AGENT_CHARS: usize = 200;

/// A session about to begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewSession<'a> {
    /// Whose it is.
    pub(crate) user_id: UserId,
    /// Their role.
    pub(crate) role: Role,
    /// Their team.
    pub(crate) team_id: TeamId,
    /// The listener it is good at.
    pub(crate) listener: ListenerKind,
    /// How they signed in.
    pub(crate) method: SignInMethod,
    /// The address they signed in from.
    pub(crate) source: &'a str,
    /// What the browser calls itself, as [`user_agent`] reads it.
    pub(crate) user_agent: &'a str,
}

/// Begins a session and returns what goes into its cookie; of too many, the oldest end.
///
/// The caller holds the exclusive lock of the person, unless it made them in the same transaction.
pub(crate) fn open(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    new: &NewSession<'_>,
) -> Result<Bearer, Failure> {
    let now = unit.now;
    let bearer = Bearer::new(BearerKind::WebSession, unit.draw.public_id(), unit.draw.bytes());
    let id = WebSessionId::new(bearer.id);
    unit.tx.web_session_insert(&WebSessionRow {
        id,
        team_id: new.team_id,
        user_id: new.user_id,
        verifier: keyring.verifier(&bearer),
        listener: web_session::listener_word(new.listener).to_owned(),
        method: new.method,
        source: new.source.to_owned(),
        user_agent: new.user_agent.to_owned(),
        created_at: now,
        seen_at: now,
        expires_at: now.plus(LIVES_FOR),
    })?;
    unit.tx.person_signed_in(new.user_id, now)?;
    let living = unit.tx.web_sessions(new.user_id, now, now.minus(IDLE_FOR))?;
    for surplus in living.into_iter().filter(|row| row.id != id).skip(MOST - 1) {
        unit.tx.web_session_end(new.user_id, &surplus.id, now)?;
        unit.end(new.team_id, Ended::WebSession(surplus.id), "surplus")?;
    }
    let author =
        Author { actor: new.user_id.to_string(), role: Some(new.role), source: new.source.to_owned() };
    let signed_in = Fact::new(Happening::SignedIn, new.team_id, &author, new.user_id);
    unit.happened(signed_in.details(json!({ "web_session_id": id, "method": new.method })));
    Ok(bearer)
}

/// Returns the header that gives a browser its session.
pub(crate) fn cookie(listener: ListenerKind, session: &Bearer) -> Result<HeaderValue, Failure> {
    let header = web_session::set_cookie(listener, session, LIVES_FOR.as_secs());
    header.ok_or_else(|| Failure::internal("a session makes no cookie"))
}

/// Returns what a browser calls itself: a line of bounded length, or nothing.
pub(crate) fn user_agent(headers: &HeaderMap) -> String {
    let text = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS).collect()
}
