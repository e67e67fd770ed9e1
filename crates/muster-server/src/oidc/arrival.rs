//! What becomes of somebody a provider vouches for: decided by the domain, done in one transaction with their session.

use muster_domain::oidc::{Arrival, Place, arrive as decide, numbered, place};
use muster_http::{ClientAddress, ListenerKind};
use muster_ids::{Bearer, Timestamp, UserId};
use muster_keyring::Keyring;
use muster_store::rows::{MemberRow, OidcPersonRow, PersonRow};
use muster_store::{Lock, LockKey, Priority};
use muster_wire::happening::Happening;
use muster_wire::sign_in::SignInMethod;
use serde_json::json;

use super::{Comer, PROVIDERS, Person};
use crate::app::App;
use crate::failure::Failure;
use crate::members;
use crate::sign_in::{self, Former, NewSession};
use crate::unit::{Author, Fact, Unit};

/// One arrival at a time: two first ones of the same subject make one person.
const ARRIVALS: LockKey = LockKey::Named("oidc arrivals");
/// Names that are tried before a new person gets a number nobody chose.
const NAMES: u32 = 50;
/// How often it is looked anew who somebody is, when that changes meanwhile.
const LOOKS: usize = 4;

/// How somebody who comes by a provider ends up.
#[derive(Debug)]
pub enum Arrived {
    /// Signed in; what goes into the cookie.
    SignedIn(Bearer),
    /// No group of theirs gives anything; what they were here, they are no more.
    NoRole,
    /// The provider was removed, or nobody may sign in with it any more.
    ProviderGone,
}

/// Where somebody comes in.
#[derive(Debug, Clone)]
pub struct Entrance {
    /// The listener.
    pub listener: ListenerKind,
    /// The address they come from.
    pub source: ClientAddress,
    /// What the browser calls itself.
    pub user_agent: String,
    /// The session it has until now, which ends.
    pub(crate) former: Option<Former>,
}

/// Makes somebody who they are now, and signs them in.
pub async fn arrive(app: &App, comer: Comer, entrance: Entrance, now: Timestamp) -> Result<Arrived, Failure> {
    for _ in 0..LOOKS {
        let (issuer, subject) = (comer.issuer.clone(), comer.subject.clone());
        let known = app.look_first(move |tx| tx.oidc_person(&issuer, &subject)).await?;
        let expected = known.map(|person| person.user_id);
        let (comer, entrance, keyring) = (comer.clone(), entrance.clone(), app.keyring.clone());
        let arrived = app.change(Priority::Urgent, now, move |unit| {
            // What is relied on is read below, under these: a provider that is removed meanwhile lets nobody in, and
            // who counts the others of a role counts who comes and goes here.
            let mut locks =
                vec![Lock::exclusive(ARRIVALS), Lock::shared(PROVIDERS), Lock::exclusive(members::MEMBERS)];
            let former = entrance.former.as_ref().map(|former| former.user_id);
            locks.extend(expected.into_iter().chain(former).map(|id| Lock::exclusive(LockKey::User(id))));
            unit.tx.lock(&locks)?;
            let known = unit.tx.oidc_person(&comer.issuer, &comer.subject)?;
            if known.as_ref().map(|person| person.user_id) != expected {
                return Ok(None);
            }
            let known = known.filter(|person| person.removed_at.is_none());
            step(unit, &keyring, &comer, &entrance, known).map(Some)
        });
        if let Some(arrived) = arrived.await? {
            return Ok(arrived);
        }
    }
    Err(Failure::OverBudget)
}

fn step(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    comer: &Comer,
    entrance: &Entrance,
    known: Option<OidcPersonRow>,
) -> Result<Arrived, Failure> {
    let provider = unit.tx.oidc_provider(&comer.provider)?;
    let Some(provider) = provider.filter(|provider| provider.allowed && provider.issuer == comer.issuer)
    else {
        return Ok(Arrived::ProviderGone);
    };
    let Some(platform) = unit.tx.platform_team_id()? else { return Ok(Arrived::ProviderGone) };
    let given = place(&comer.groups, &provider.mappings, platform);
    let author = author(comer, entrance);
    let was = known.as_ref().map(|person| Place { team_id: person.team_id, role: person.role });
    let person = match (decide(was, given), known) {
        (Arrival::Make(place), _) => make(unit, comer, &author, place)?,
        (Arrival::Stay, Some(known)) => of_row(&known),
        (Arrival::SetRole(role), Some(known)) => {
            let member = member(unit, &known)?;
            members::set_role(unit, &author, &member, role)?;
            Person { role, ..of_row(&known) }
        }
        (Arrival::Move(place), Some(known)) => {
            let member = member(unit, &known)?;
            members::remove(unit, &author, &member)?;
            make(unit, comer, &author, place)?
        }
        (Arrival::Remove, Some(known)) => {
            let member = member(unit, &known)?;
            members::remove(unit, &author, &member)?;
            return Ok(Arrived::NoRole);
        }
        _ => return Ok(Arrived::NoRole),
    };
    if let Some(former) = &entrance.former {
        former.end(unit, &author.source)?;
    }
    let session = NewSession {
        user_id: person.user_id,
        role: person.role,
        team_id: person.team_id,
        listener: entrance.listener,
        method: SignInMethod::Oidc,
        source: &author.source,
        user_agent: &entrance.user_agent,
    };
    sign_in::open(unit, keyring, &session).map(Arrived::SignedIn)
}

fn of_row(row: &OidcPersonRow) -> Person {
    Person { user_id: row.user_id, team_id: row.team_id, role: row.role }
}

/// The provider acts, for what it says of somebody changes them.
fn author(comer: &Comer, entrance: &Entrance) -> Author {
    Author { actor: format!("oidc:{}", comer.provider), role: None, source: entrance.source.to_string() }
}

fn make(unit: &mut Unit<'_, '_>, comer: &Comer, author: &Author, place: Place) -> Result<Person, Failure> {
    let now = unit.now;
    let id = UserId::from_uuid(unit.draw.uuid(now));
    let spare = format!("person {}", unit.draw.public_id());
    let mut names = (1..=NAMES).map(|n| numbered(&comer.name, n)).chain([spare]);
    let name = loop {
        let name = names.next().ok_or_else(|| Failure::internal("a name of random characters is taken"))?;
        if !unit.tx.member_is_named(place.team_id, &name)? {
            break name;
        }
    };
    let row = PersonRow { id, team_id: place.team_id, name, role: place.role, created_at: now };
    if !unit.tx.person_insert(&row)? {
        // Somebody else took the name since it was looked for; the next attempt finds another.
        return Err(Failure::OverBudget);
    }
    unit.tx.oidc_identity_set(&comer.issuer, &comer.subject, id, now)?;
    let created = Fact::new(Happening::PersonCreated, place.team_id, author, id);
    unit.happened(created.details(json!({ "role": place.role, "provider": comer.provider })));
    Ok(Person { user_id: id, team_id: place.team_id, role: place.role })
}

/// Reads somebody who was found by their identity: in this transaction they are there.
fn member(unit: &mut Unit<'_, '_>, known: &OidcPersonRow) -> Result<MemberRow, Failure> {
    let member = unit.tx.member(known.team_id, known.user_id)?;
    member.ok_or_else(|| Failure::internal("a person of an identity is in no team"))
}
