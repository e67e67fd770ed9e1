//! Accepting an invitation: the one way a stranger becomes a person.

use axum::extract::State;
use http::header::SET_COOKIE;
use muster_domain::login::Login;
use muster_domain::web_session::LIVES_FOR;
use muster_http::{Created, Problem};
use muster_ids::{Bearer, UserId, WebSessionId};
use muster_store::rows::{InvitationRow, PersonRow};
use muster_store::{Lock, LockKey};
use muster_wire::happening::Happening;
use muster_wire::invitation::AcceptInvitation;
use muster_wire::sign_in::{SignInMethod, SignedIn};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::auth::{Invited, Visitor};
use crate::failed_attempts::AttemptKind;
use crate::failure::Failure;
use crate::idempotency::Once;
use crate::passwords;
use crate::problems::invitation_rejected;
use crate::sign_in::guess::Guess;
use crate::sign_in::{Former, NewSession, cookie, open};
use crate::unit::{Author, Fact, Unit};

const NAME_TAKEN: Failure = Failure::conflict("name_taken", "the team has a person of this name by now");
const LOGIN_TAKEN: Failure = Failure::conflict("login_taken", "somebody signs in with this login");

/// What is kept, sealed, for a reply that was lost.
#[derive(Serialize, Deserialize)]
struct Accepted {
    signed_in: SignedIn,
    session: String,
}

/// Somebody who is about to become a person.
struct Newcomer {
    invitation: InvitationRow,
    login: Login,
    /// Their password, hashed; not hashed again for an answer that is given again.
    phc: Option<String>,
    visitor: Visitor,
    former: Option<Former>,
}

/// `POST /v1/invitations/accept`
///
/// The bearer string of the invitation stands in `Authorization`. A lost reply is had again with the same
/// `Idempotency-Key`, login and password.
pub async fn accept(
    State(app): State<App>,
    invited: Invited,
    body: Once<AcceptInvitation>,
) -> Result<Created<SignedIn>, Problem> {
    muster_http::to_the_end(come_in(app, invited, body)).await
}

async fn come_in(
    app: App,
    invited: Invited,
    body: Once<AcceptInvitation>,
) -> Result<Created<SignedIn>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let (source, listener) = (invited.visitor.source.bucket(), invited.visitor.listener);
    let invitation_id = invited.invitation.id;
    let guess = Guess::begin_at(&app, AttemptKind::Invitation, source, invitation_id.public_id())?;
    let accepted = match judge(&app, &request, invited).await {
        Ok(newcomer) => {
            let (principal, keyring) = (Invited::principal(&invitation_id), app.keyring.clone());
            asked.change(&app, principal, now, move |unit| become_person(unit, &keyring, &newcomer)).await
        }
        Err(failure) => Err(failure),
    };
    let accepted = accepted.map_err(|failure| match failure {
        Failure::Unauthorized => invitation_rejected(),
        // Who is invited learns one login at a time, and is counted.
        Failure::Conflict { code: "login_taken", .. } => guess.failed(failure.into()),
        failure => failure.into(),
    })?;
    let session = Bearer::parse(&accepted.session);
    let session = session.ok_or_else(|| Failure::internal("a session that was opened does not parse"))?;
    Ok(Created::new(accepted.signed_in).header(SET_COOKIE, cookie(listener, &session)?))
}

async fn judge(app: &App, request: &AcceptInvitation, invited: Invited) -> Result<Newcomer, Failure> {
    let Invited { invitation, visitor } = invited;
    let login = Login::parse(request.login.as_str());
    let login = login.map_err(|error| Failure::invalid("/login", error.to_string()))?;
    let names = [login.as_str(), invitation.name.as_str()];
    let password = passwords::judge_new(&request.password, &names, "/password")?;
    let phc = if may_come_in(app, &invitation, &login).await? {
        Some(passwords::hash(app, password).await?)
    } else {
        None
    };
    let former = Former::find(app, visitor.former.as_ref()).await?;
    Ok(Newcomer { invitation, login, phc, visitor, former })
}

/// Judges before the slow work what a read can judge, in the order of the transaction: an invitation that cannot be
/// accepted says nothing of logins. `false`: it was accepted, maybe a moment ago.
async fn may_come_in(app: &App, invitation: &InvitationRow, login: &Login) -> Result<bool, Failure> {
    let (id, team_id, name) = (invitation.id, invitation.team_id, invitation.name.clone());
    let login = login.as_str().to_owned();
    let found = app.look(move |tx| {
        let taken = (tx.member_is_named(team_id, &name)?, tx.sign_in_by_login(&login)?.is_some());
        // Last: who took the name by this very invitation had accepted it by then.
        let is_open = tx.invitation_shown(&id)?.is_some_and(|row| row.accepted_at.is_none());
        Ok((is_open, taken))
    });
    match found.await? {
        (false, _) => Ok(false),
        (true, (true, _)) => Err(NAME_TAKEN),
        (true, (false, true)) => Err(LOGIN_TAKEN),
        (true, (false, false)) => Ok(true),
    }
}

fn become_person(
    unit: &mut Unit<'_, '_>,
    keyring: &muster_keyring::Keyring,
    newcomer: &Newcomer,
) -> Result<Accepted, Failure> {
    let now = unit.now;
    let invitation = &newcomer.invitation;
    let phc = newcomer.phc.as_deref().ok_or(Failure::Unauthorized)?;
    let user_id = UserId::from_uuid(unit.draw.uuid(now));
    let (team_id, name, role) = (invitation.team_id, invitation.name.clone(), invitation.role);
    if let Some(former) = &newcomer.former {
        unit.tx.lock(&[Lock::exclusive(LockKey::User(former.user_id))])?;
    }
    // First of all: two who hold the same link, or one who accepts while it is revoked, are settled here.
    if !unit.tx.invitation_accept(&invitation.id, user_id, now)? {
        return Err(Failure::Unauthorized);
    }
    let team = unit.tx.team(team_id)?.ok_or(Failure::Unauthorized)?;
    let person = PersonRow { id: user_id, team_id, name: name.clone(), role, created_at: now };
    if !unit.tx.person_insert(&person)? {
        return Err(NAME_TAKEN);
    }
    if !unit.tx.login_set(user_id, newcomer.login.as_str())? {
        return Err(LOGIN_TAKEN);
    }
    unit.tx.password_set(user_id, phc, now)?;
    let source = newcomer.visitor.source.to_string();
    let author = Author { actor: user_id.to_string(), role: Some(role), source: source.clone() };
    let accepted = Fact::new(Happening::InvitationAccepted, team_id, &author, invitation.id);
    unit.happened(accepted.details(json!({ "user_id": user_id, "invited_by": invitation.created_by })));
    let created = Fact::new(Happening::PersonCreated, team_id, &author, user_id);
    unit.happened(created.details(json!({ "role": role, "invitation_id": invitation.id })));
    if let Some(former) = &newcomer.former {
        former.end(unit, &source)?;
    }
    let session = open(
        unit,
        keyring,
        &NewSession {
            user_id,
            role,
            team_id,
            listener: newcomer.visitor.listener,
            method: SignInMethod::Invitation,
            source: &source,
            user_agent: &newcomer.visitor.user_agent,
        },
    )?;
    let signed_in = SignedIn {
        user_id,
        name,
        role,
        team_id,
        team_name: team.name,
        web_session_id: WebSessionId::new(session.id),
        expires_at: now.plus(LIVES_FOR),
    };
    Ok(Accepted { signed_in, session: session.expose().expose_secret().to_owned() })
}
