//! `/v1/me/…`: what a person signs in with, and where they are signed in. Whoever changes it says the password again.

pub mod login;
pub mod password;
pub mod second_factor;
pub mod sessions;
pub mod views;

use axum::extract::State;
use muster_domain::login::fold;
use muster_http::{AddressBucket, Problem, Reply};
use muster_ids::UserId;
use muster_store::rows::SignInRow;
use muster_store::{StoreError, Tx};
use muster_wire::sign_in::{Account, Password};

use crate::app::App;
use crate::auth::{Actor, Credential, permits};
use crate::failure::Failure;
use crate::passwords::Verdict;
use crate::sign_in::guess::Guess;
use crate::unit::Unit;

const NO_PASSWORD: Failure = Failure::conflict("no_password", "the account has no password");
const WRONG_CODE: Failure =
    Failure::Forbidden { code: "wrong_code", detail: "the code is wrong, or was used before" };
const LIMITED_TOKEN: Failure = Failure::Forbidden {
    code: "limited_token",
    detail: "a token with scopes, a team or an expiry may not give its owner a lasting way to sign in",
};
const BY_PROVIDER: Failure = Failure::conflict(
    "signs_in_by_provider",
    "you sign in with a provider, which says who may; a password would outlive what it says",
);

/// `GET /v1/me/account`
pub async fn get(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
) -> Result<Reply<Account>, Problem> {
    let user_id = actor.user_id;
    let found = app.look(move |tx| Ok((tx.sign_in_of(user_id)?, tx.recovery_codes_left(user_id)?)));
    let (row, recovery_codes_left) = found.await?;
    let row = row.ok_or(Failure::Unauthorized)?;
    Ok(Reply::new(Account {
        login: row.login,
        password_changed_at: row.password_changed_at,
        second_factor_confirmed_at: row.second_factor.and_then(|factor| factor.confirmed_at),
        recovery_codes_left,
    }))
}

/// Reads what a person signs in with.
async fn own(app: &App, user_id: UserId) -> Result<SignInRow, Failure> {
    app.look(move |tx| tx.sign_in_of(user_id)).await?.ok_or(Failure::Unauthorized)
}

/// Reads what a person signs in with, in the transaction that relies on it, if their password is still `phc`.
fn still_own(unit: &mut Unit<'_, '_>, user_id: UserId, phc: Option<&String>) -> Result<SignInRow, Failure> {
    let row = unit.tx.sign_in_of(user_id)?.ok_or(Failure::Unauthorized)?;
    let changed = Failure::conflict("password_changed", "the password was changed just now");
    if row.phc.as_ref() == phc { Ok(row) } else { Err(changed) }
}

/// Lets nobody on but who says the password of the account again; a wrong one counts like one at the door.
async fn step_up<'a>(
    app: &'a App,
    source: AddressBucket,
    row: &SignInRow,
    typed: &Password,
) -> Result<Guess<'a>, Problem> {
    let phc = row.phc.clone().ok_or(NO_PASSWORD)?;
    let guess = guess(app, source, row)?;
    match guess.judge(typed, Some(phc)).await? {
        Verdict::Right { .. } => Ok(guess),
        Verdict::Wrong => {
            let wrong = Failure::Forbidden { code: "wrong_password", detail: "the password is wrong" };
            Err(guess.failed(wrong.into()))
        }
    }
}

/// Begins to judge something of an account.
fn guess<'a>(app: &'a App, source: AddressBucket, row: &SignInRow) -> Result<Guess<'a>, Problem> {
    Ok(Guess::begin(app, source, &name_of(row))?.of(Some(row)))
}

/// What attempts at an account are counted under.
fn name_of(row: &SignInRow) -> String {
    row.login.as_deref().map_or_else(|| row.user_id.to_string(), fold)
}

/// Refuses people who come by a provider, and tokens that are less than their owner: who sets the first password has
/// everything their owner has, and for good.
fn first_may_be_set_by(
    tx: &mut Tx<'_>,
    actor: &Actor<permits::OwnAccount>,
) -> Result<Result<(), Failure>, StoreError> {
    if tx.oidc_knows(actor.user_id)? {
        return Ok(Err(BY_PROVIDER));
    }
    let Credential::Token(id) = actor.credential else { return Ok(Ok(())) };
    let Some(row) = tx.operator_by_token(&id)? else { return Ok(Err(Failure::Unauthorized)) };
    let is_whole = row.expires_at.is_none() && actor.reach.scopes.is_none() && actor.bound_team_id.is_none();
    Ok(if is_whole { Ok(()) } else { Err(LIMITED_TOKEN) })
}
