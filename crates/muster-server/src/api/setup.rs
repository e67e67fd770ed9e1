//! `/v1/setup`: the first admin, once, with the code the server printed.

use axum::extract::State;
use muster_domain::login::Login;
use muster_http::{Created, Problem, Reply};
use muster_ids::{Bearer, BearerKind, SiteId, TeamId, TokenId, UserId};
use muster_store::rows::{DEFAULT_SITE, OperatorTokenRow, PersonRow, SiteRow, TeamRow};
use muster_wire::happening::Happening;
use muster_wire::people::{MintedToken, Role, Setup, SetupStatus};
use muster_wire::site::SitePolicy;
use secrecy::ExposeSecret;
use serde_json::json;
use url::Url;

use crate::app::App;
use crate::auth::{Visitor, failed};
use crate::failed_attempts::AttemptKind;
use crate::failure::Failure;
use crate::idempotency::Once;
use crate::installation::{is_public_url, store_public_urls};
use crate::passwords::{hash, judge_new};
use crate::problems::too_many_failures;
use crate::unit::{Author, Fact, Unit};

/// Who acts before anybody exists.
const SETUP: &str = "setup";
const ALREADY: Failure =
    Failure::Gone { code: "already_configured", detail: "the first admin exists; ask them for a token" };

/// `GET /v1/setup`
pub async fn status(State(app): State<App>) -> Result<Reply<SetupStatus>, Problem> {
    let configured = app.look(|tx| tx.people_exist()).await?;
    Ok(Reply::new(SetupStatus { configured }))
}

/// `POST /v1/setup`
///
/// A lost reply is had again with the same `Idempotency-Key` and the same code; nothing else reopens the setup.
pub async fn create(
    State(app): State<App>,
    visitor: Visitor,
    once: Once<Setup>,
) -> Result<Created<MintedToken>, Problem> {
    let now = app.clock.now();
    let (setup, asked) = once.into_parts();
    let urls = public_urls(&setup)?;
    let configured = app.look(|tx| tx.people_exist()).await?;
    let mut sign_in = None;
    if !configured {
        judge_code(&app, &setup, &visitor)?;
        let _flight = app.budgets.guessers.begin(visitor.source.bucket())?;
        sign_in = first_sign_in(&app, &setup).await?;
    } else if !asked.was_answered(&app, SETUP).await? {
        // A read settles it: whoever knocks at a closed setup must not reach the writer.
        return Err(ALREADY.into());
    }
    let (keyring, source) = (app.keyring.clone(), visitor.source.to_string());
    let minted = asked
        .change(&app, SETUP, now, move |unit| {
            if unit.tx.people_exist()? {
                return Err(ALREADY);
            }
            let team_id = make_team(unit, &keyring, "platform", true)?.ok_or(ALREADY)?;
            if !urls.is_empty() {
                store_public_urls(unit.tx, &urls)?;
            }
            unit.effects.set_up = Some(urls.clone());
            let author = Author { actor: SETUP.to_owned(), role: None, source: source.clone() };
            let minted =
                make_person(unit, &keyring, &author, team_id, setup.admin_name.as_str(), Role::Admin)?;
            if let Some((login, phc)) = &sign_in {
                give_sign_in(unit, &author, &minted, login, phc)?;
            }
            Ok(minted)
        })
        .await?;
    Ok(Created::new(minted))
}

fn judge_code(app: &App, setup: &Setup, visitor: &Visitor) -> Result<(), Problem> {
    let judge = || app.installation.is_setup_code(setup.code.as_str());
    match app.limits.judge_setup_code(visitor.listener, app.clock.monotonic(), judge) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let wrong = Failure::Forbidden { code: "wrong_setup_code", detail: "the setup code is wrong" };
            Err(failed(app, AttemptKind::Setup, visitor.source.bucket(), None, wrong.into()))
        }
        Err(wait) => Err(too_many_failures(wait)),
    }
}

/// Returns login and hashed password of the first admin, if they shall have them.
async fn first_sign_in(app: &App, setup: &Setup) -> Result<Option<(Login, String)>, Failure> {
    let (login, password) = match (&setup.login, &setup.password) {
        (Some(login), Some(password)) => (login, password),
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(Failure::invalid("/login", "required")),
        (Some(_), None) => return Err(Failure::invalid("/password", "required")),
    };
    let login =
        Login::parse(login.as_str()).map_err(|error| Failure::invalid("/login", error.to_string()))?;
    let normal = judge_new(password, &[login.as_str(), setup.admin_name.as_str()], "/password")?;
    Ok(Some((login, hash(app, normal).await?)))
}

fn give_sign_in(
    unit: &mut Unit<'_, '_>,
    author: &Author,
    minted: &MintedToken,
    login: &Login,
    phc: &str,
) -> Result<(), Failure> {
    if !unit.tx.login_set(minted.user_id, login.as_str())? {
        return Err(ALREADY);
    }
    unit.tx.password_set(minted.user_id, phc, unit.now)?;
    let set = Fact::new(Happening::PasswordSet, minted.team_id, author, minted.user_id);
    unit.happened(set.changed(["login", "password"]));
    Ok(())
}

fn public_urls(setup: &Setup) -> Result<Vec<Url>, Failure> {
    let parse = |(index, text): (usize, &muster_wire::text::Line<256>)| {
        let url = Url::parse(text.as_str()).ok().filter(is_public_url);
        url.ok_or_else(|| Failure::invalid(format!("/public_urls/{index}"), "malformed"))
    };
    setup.public_urls.iter().enumerate().map(parse).collect()
}

/// Makes a team with its data key and its `default` site. `None`: the name is taken.
pub(super) fn make_team(
    unit: &mut Unit<'_, '_>,
    keyring: &muster_keyring::Keyring,
    name: &str,
    is_platform: bool,
) -> Result<Option<TeamId>, Failure> {
    let now = unit.now;
    let id = TeamId::from_uuid(unit.draw.uuid(now));
    let wrapped_key = keyring.new_team_key(id, unit.draw.bytes(), unit.draw.bytes());
    let team = TeamRow { id, name: name.to_owned(), is_platform, wrapped_key, created_at: now };
    if !unit.tx.team_insert(&team)? {
        return Ok(None);
    }
    let site = SiteRow {
        id: SiteId::from_uuid(unit.draw.uuid(now)),
        team_id: id,
        name: DEFAULT_SITE.to_owned(),
        policy: SitePolicy::default(),
        created_at: now,
    };
    unit.tx.site_insert(&site)?;
    Ok(Some(id))
}

/// Makes a person with their first API token.
pub(super) fn make_person(
    unit: &mut Unit<'_, '_>,
    keyring: &muster_keyring::Keyring,
    author: &Author,
    team_id: TeamId,
    name: &str,
    role: Role,
) -> Result<MintedToken, Failure> {
    let now = unit.now;
    let user_id = UserId::from_uuid(unit.draw.uuid(now));
    let person = PersonRow { id: user_id, team_id, name: name.to_owned(), role, created_at: now };
    if !unit.tx.person_insert(&person)? {
        return Err(Failure::conflict("name_taken", "the team has a person of this name"));
    }
    let bearer = Bearer::new(BearerKind::OperatorToken, unit.draw.public_id(), unit.draw.bytes());
    let token_id = TokenId::new(bearer.id);
    let verifier = keyring.verifier(&bearer);
    unit.tx.operator_token_insert(&OperatorTokenRow {
        id: token_id,
        team_id,
        user_id,
        verifier,
        name: None,
        scopes: None,
        bound_team_id: None,
        created_at: now,
        expires_at: None,
        minted_with: None,
    })?;
    let created = Fact::new(Happening::PersonCreated, team_id, author, user_id);
    unit.happened(created.details(json!({ "role": role, "token_id": token_id })));
    Ok(MintedToken { token_id, user_id, team_id, token: bearer.expose().expose_secret().to_owned() })
}
