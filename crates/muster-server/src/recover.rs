//! The way back in (DESIGN §8): for whoever holds the data folder, on the server machine, while no server runs.
//!
//! Holding master key and database is the proof; there is no other, and no network has to do with it. A server that
//! runs would not learn that sessions ended, so one that holds the folder, or the database, is refused. Sessions end and
//! the second factor goes; API tokens stay, for programs work with them, and are the admin's to revoke. The trail
//! tells of it.

use std::sync::Arc;

use anyhow::{Context, bail};
use muster_domain::login::Login;
use muster_edge::{Clock, Entropy};
use muster_ids::{Bearer, BearerKind, TeamId, TokenId, UserId};
use muster_keyring::Keyring;
use muster_store::rows::{OperatorTokenRow, PersonRow};
use muster_store::{Lock, LockKey, Priority, Store, StoreError, Tx};
use muster_wire::happening::Happening;
use muster_wire::people::Role;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::backup::Place;
use crate::effects::Ended;
use crate::failure::Failure;
use crate::installation::{four_groups, is_master_key_of};
use crate::passwords::hash_here;
use crate::serve::{lock_data_dir, open_alone};
use crate::unit::{Author, Fact, Unit};

/// Who acts in the audit trail.
const RECOVER: &str = "recover";
/// The name, and the login, of an admin who is made because none is left.
const NEW_ADMIN: &str = "admin";

/// What the person gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// A new password, and this login if they have none; their name when not said.
    Password {
        /// The login.
        login: Option<String>,
    },
    /// A new API token.
    Token,
}

/// Whom to let in again, and where.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// Where the server keeps its state.
    pub place: Place,
    /// The name of the admin; not needed when there is one.
    pub name: Option<String>,
    /// What they get.
    pub means: Means,
}

/// An admin who can get in again.
#[derive(Debug)]
pub struct Recovered {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    pub name: String,
    /// Their login, if they got a password.
    pub login: Option<String>,
    /// The password, or the token: shown once.
    pub secret: SecretString,
    /// Whether they were made just now.
    pub is_new: bool,
    /// How many sessions ended.
    pub ended_sessions: usize,
    /// Whether a second factor was removed.
    pub second_factor_removed: bool,
}

/// Lets an admin in again.
pub async fn recover(recovery: Recovery) -> anyhow::Result<Recovered> {
    let Recovery { place, name, means } = recovery;
    if !place.data_dir.is_dir() {
        bail!("there is no data folder {}: name the server's", place.data_dir.display());
    }
    let key_file = place.key_file();
    if !key_file.is_file() {
        bail!("there is no master key {}: name the server's", key_file.display());
    }
    let _lock = lock_data_dir(&place.data_dir).context("stop the server first, then recover")?;
    let (clock, entropy) = (Clock::system(), Entropy);
    let (store, keyring) = open_alone(&place, &clock, &entropy).await?;
    let recovered = recover_in(&store, &keyring, &clock, &entropy, name, means).await;
    store.close().await;
    recovered
}

/// Lets an admin in again, in a database that nobody else has open.
pub async fn recover_in(
    store: &Store,
    keyring: &Arc<Keyring>,
    clock: &Clock,
    entropy: &Entropy,
    name: Option<String>,
    means: Means,
) -> anyhow::Result<Recovered> {
    if !is_master_key_of(store, keyring).await? {
        bail!("the master key does not belong to this database: put back the key it was made with");
    }
    let read = store.read(|tx| Ok::<_, StoreError>((tx.platform_team_id()?, tx.platform_admins()?)));
    let (team_id, admins) = read.await?;
    let Some(team_id) = team_id else {
        bail!("this server was never set up: start it and run `muster setup`");
    };
    let whom = choose(name, &admins)?;
    let password = SecretString::from(four_groups(entropy.bytes()));
    let phc = hash_here(&password, entropy.bytes())?;
    let (seed, now, keyring) = (entropy.seed(), clock.now(), keyring.clone());
    let given = store
        .write(Priority::Urgent, move |tx: &mut Tx<'_>| {
            let mut unit = Unit::new(tx, now, &seed);
            let given = give(&mut unit, &keyring, team_id, &whom, &means, &phc)?;
            unit.finish(&keyring)?;
            Ok::<_, Failure>(given)
        })
        .await;
    let (recovered, token) = given.map_err(in_words)?;
    Ok(Recovered { secret: token.unwrap_or(password), ..recovered })
}

/// An admin by name, and their id unless they are to be made.
struct Whom {
    name: String,
    id: Option<UserId>,
}

fn choose(name: Option<String>, admins: &[(UserId, String)]) -> anyhow::Result<Whom> {
    let names: Vec<&str> = admins.iter().map(|(_, name)| name.as_str()).collect();
    match (name, admins) {
        (name, []) => Ok(Whom { name: name.unwrap_or_else(|| NEW_ADMIN.to_owned()), id: None }),
        (None, [(id, name)]) => Ok(Whom { name: name.clone(), id: Some(*id) }),
        (None, _) => bail!("there is more than one admin, name one of them: {}", names.join(", ")),
        (Some(wanted), _) => match admins.iter().find(|(_, name)| *name == wanted) {
            Some((id, _)) => Ok(Whom { name: wanted, id: Some(*id) }),
            None => bail!("there is no admin of that name, name one of: {}", names.join(", ")),
        },
    }
}

fn give(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    team_id: TeamId,
    whom: &Whom,
    means: &Means,
    phc: &str,
) -> Result<(Recovered, Option<SecretString>), Failure> {
    let now = unit.now;
    let user_id = match whom.id {
        Some(id) => id,
        None => make_admin(unit, team_id, &whom.name)?,
    };
    unit.tx.lock(&[Lock::exclusive(LockKey::User(user_id))])?;
    let ended_sessions = unit.tx.web_sessions_end(user_id, None, now)?.len();
    let second_factor_removed = unit.tx.second_factor_remove(user_id)?;
    unit.end(team_id, Ended::Person(user_id), "recovered")?;
    let (login, token) = match means {
        Means::Password { login } => {
            unit.tx.password_set(user_id, phc, now)?;
            (Some(login_of(unit, user_id, login.as_deref().unwrap_or(&whom.name))?), None)
        }
        Means::Token => (None, Some(mint(unit, keyring, team_id, user_id)?)),
    };
    let author = Author { actor: RECOVER.to_owned(), role: None, source: "-".to_owned() };
    let fact = Fact::new(Happening::PersonRecovered, team_id, &author, user_id);
    unit.happened(fact.details(json!({
        "means": if token.is_some() { "token" } else { "password" },
        "is_new": whom.id.is_none(),
        "ended_sessions": ended_sessions,
        "second_factor_removed": second_factor_removed,
    })));
    let recovered = Recovered {
        user_id,
        name: whom.name.clone(),
        login,
        secret: SecretString::default(),
        is_new: whom.id.is_none(),
        ended_sessions,
        second_factor_removed,
    };
    Ok((recovered, token))
}

fn make_admin(unit: &mut Unit<'_, '_>, team_id: TeamId, name: &str) -> Result<UserId, Failure> {
    let id = UserId::from_uuid(unit.draw.uuid(unit.now));
    let person = PersonRow { id, team_id, name: name.to_owned(), role: Role::Admin, created_at: unit.now };
    if unit.tx.person_insert(&person)? {
        Ok(id)
    } else {
        Err(Failure::conflict("name_taken", "somebody else has this name: give the new admin another one"))
    }
}

/// Returns the login a person has; without one they take `wanted`.
fn login_of(unit: &mut Unit<'_, '_>, user_id: UserId, wanted: &str) -> Result<String, Failure> {
    let row = unit.tx.sign_in_of(user_id)?.ok_or(Failure::NotFound)?;
    if let Some(login) = row.login {
        return Ok(login);
    }
    let malformed =
        Failure::conflict("login_malformed", "this makes no login: say which one they shall have");
    let login = Login::parse(wanted).map_err(|_| malformed)?;
    if unit.tx.login_set(user_id, login.as_str())? {
        Ok(login.as_str().to_owned())
    } else {
        Err(Failure::conflict("login_taken", "somebody has this login: say which one they shall have"))
    }
}

fn mint(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    team_id: TeamId,
    user_id: UserId,
) -> Result<SecretString, Failure> {
    let bearer = Bearer::new(BearerKind::OperatorToken, unit.draw.public_id(), unit.draw.bytes());
    unit.tx.operator_token_insert(&OperatorTokenRow {
        id: TokenId::new(bearer.id),
        team_id,
        user_id,
        verifier: keyring.verifier(&bearer),
        name: Some(RECOVER.to_owned()),
        scopes: None,
        bound_team_id: None,
        created_at: unit.now,
        expires_at: None,
        minted_with: None,
    })?;
    Ok(bearer.expose().expose_secret().into())
}

fn in_words(failure: Failure) -> anyhow::Error {
    match failure {
        Failure::Conflict { detail, .. } => anyhow::anyhow!(detail),
        failure => failure.into(),
    }
}
