//! `/v1/sign-in` and `/v1/sign-out`: sessions of browsers, by login and password.

use axum::extract::State;
use http::header::SET_COOKIE;
use muster_domain::login::{Login, fold};
use muster_http::{ConnectInfo, Problem, Reply, StrictJson};
use muster_ids::{Bearer, WebSessionId};
use muster_keyring::Keyring;
use muster_store::rows::SignInRow;
use muster_store::{Lock, LockKey, Priority};
use muster_wire::happening::Happening;
use muster_wire::sign_in::{Code, Done, SignIn, SignInMethod, SignedIn};

use crate::app::App;
use crate::auth::{Actor, Credential, Visitor, permits, web_session};
use crate::effects::Ended;
use crate::failure::Failure;
use crate::passwords::Verdict;
use crate::problems::{second_factor_required, sign_in_refused};
use crate::sign_in::guess::Guess;
use crate::sign_in::{self, Former, NewSession, second_factor, second_factor::Taken};
use crate::unit::{Fact, Unit};

const NOTHING_TO_END: Failure =
    Failure::conflict("not_a_session", "an API token does not sign out: revoke it instead");

/// `POST /v1/sign-in`
///
/// The order and its reasons are in `crate::sign_in::guess`.
pub async fn create(
    State(app): State<App>,
    visitor: Visitor,
    StrictJson(request): StrictJson<SignIn>,
) -> Result<Reply<SignedIn>, Problem> {
    muster_http::to_the_end(enter(app, visitor, request)).await
}

async fn enter(app: App, visitor: Visitor, request: SignIn) -> Result<Reply<SignedIn>, Problem> {
    let now = app.clock.now();
    let guess = Guess::begin(&app, visitor.source.bucket(), &fold(request.login.expose()))?;
    let (guess, row, rehashed) = prove(&app, guess, &request).await?;
    let former = Former::find(&app, visitor.former.as_ref()).await?;
    let entry = Entry {
        row,
        rehashed,
        code: request.code,
        former,
        listener: visitor.listener,
        source: visitor.source.to_string(),
        user_agent: visitor.user_agent,
    };
    let keyring = app.keyring.clone();
    match app.change(Priority::Urgent, now, move |unit| entry.enter(unit, &keyring)).await? {
        Outcome::Opened(bearer, view) => {
            let cookie = sign_in::cookie(visitor.listener, &bearer)?;
            Ok(Reply::new(*view).header(SET_COOKIE, cookie))
        }
        Outcome::CodeMissing => Err(second_factor_required()),
        Outcome::CodeWrong | Outcome::Changed => Err(guess.failed(sign_in_refused())),
    }
}

/// Judges login and password, whichever of them is wrong; a code is judged later.
async fn prove<'a>(
    app: &App,
    guess: Guess<'a>,
    request: &SignIn,
) -> Result<(Guess<'a>, SignInRow, Option<String>), Problem> {
    // What is no login is looked for like one that nobody has.
    let login = Login::parse(request.login.expose())
        .map_or_else(|_| String::new(), |login| login.as_str().to_owned());
    let found = app.look(move |tx| tx.sign_in_by_login(&login)).await?;
    let found = found.filter(|row| row.removed_at.is_none());
    let phc = found.as_ref().and_then(|row| row.phc.clone());
    let guess = guess.of(found.as_ref());
    let verdict = guess.judge(&request.password, phc).await?;
    let (Some(row), Verdict::Right { rehashed }) = (found, verdict) else {
        return Err(guess.failed(sign_in_refused()));
    };
    let code = request.code.as_ref().filter(|_| second_factor::is_asked(&row));
    let guess = match code {
        Some(code) => guess.with_code(&row, code)?,
        None => guess,
    };
    Ok((guess, row, rehashed))
}

/// Somebody whose password was right, about to be let in.
struct Entry {
    row: SignInRow,
    rehashed: Option<String>,
    code: Option<Code>,
    former: Option<Former>,
    listener: muster_http::ListenerKind,
    source: String,
    user_agent: String,
}

enum Outcome {
    Opened(Bearer, Box<SignedIn>),
    CodeMissing,
    CodeWrong,
    /// Password or person are others by now.
    Changed,
}

impl Entry {
    fn enter(&self, unit: &mut Unit<'_, '_>, keyring: &Keyring) -> Result<Outcome, Failure> {
        let user_id = self.row.user_id;
        let former_owner = self.former.as_ref().map_or(user_id, |former| former.user_id);
        unit.tx
            .lock(&[Lock::exclusive(LockKey::User(user_id)), Lock::exclusive(LockKey::User(former_owner))])?;
        let is_same = |row: &SignInRow| row.removed_at.is_none() && row.phc == self.row.phc;
        let Some(row) = unit.tx.sign_in_of(user_id)?.filter(is_same) else { return Ok(Outcome::Changed) };
        match second_factor::take(unit, keyring, &row, self.code.as_ref(), &self.source)? {
            Taken::Passed => {}
            Taken::Missing => return Ok(Outcome::CodeMissing),
            Taken::Wrong => return Ok(Outcome::CodeWrong),
        }
        if let (Some(from), Some(to)) = (&row.phc, &self.rehashed) {
            unit.tx.password_rehash(user_id, from, to)?;
        }
        if let Some(former) = &self.former {
            former.end(unit, &self.source)?;
        }
        let bearer = sign_in::open(
            unit,
            keyring,
            &NewSession {
                user_id,
                role: row.role,
                team_id: row.team_id,
                listener: self.listener,
                method: SignInMethod::Password,
                source: &self.source,
                user_agent: &self.user_agent,
            },
        )?;
        let view = SignedIn {
            user_id,
            name: row.name,
            role: row.role,
            team_id: row.team_id,
            team_name: row.team_name,
            web_session_id: WebSessionId::new(bearer.id),
            expires_at: unit.now.plus(muster_domain::web_session::LIVES_FOR),
        };
        Ok(Outcome::Opened(bearer, Box::new(view)))
    }
}

/// `POST /v1/sign-out`
pub async fn end(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    connection: ConnectInfo,
) -> Result<Reply<Done>, Problem> {
    let now = app.clock.now();
    let Credential::WebSession(id) = actor.credential else { return Err(NOTHING_TO_END.into()) };
    let user_id = actor.user_id;
    let ended = actor.change_person(&app, now, user_id, move |unit, actor| {
        unit.tx.web_session_end(user_id, &id, unit.now)?;
        let team_id = unit.tx.sign_in_of(user_id)?.ok_or(Failure::Unauthorized)?.team_id;
        unit.end(team_id, Ended::WebSession(id), "signed out")?;
        unit.happened(Fact::new(Happening::SignedOut, team_id, &actor.author(), id));
        Ok(Done { ended_sessions: 1 })
    });
    let reply = Reply::new(ended.await?);
    Ok(match web_session::clear_cookie(connection.listener) {
        Some(cookie) => reply.header(SET_COOKIE, cookie),
        None => reply,
    })
}
