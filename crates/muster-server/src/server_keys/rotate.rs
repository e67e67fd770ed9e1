//! The steps by which the server's own keys change, each one transaction with its fact.

use muster_domain::server_keys::{Overlap, Said, may_switch};
use muster_http::tls::TlsError;
use muster_ids::TeamId;
use muster_proof::HostKey;
use muster_store::{Lock, LockKey, Priority};
use muster_wire::happening::Happening;
use muster_wire::server_keys::TlsKind;
use serde_json::json;
use zeroize::Zeroizing;

use super::stored::{self, CURRENT, FORMER, NEXT};
use super::{as_they_are, spread};
use crate::app::App;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

const LOCK: Lock = Lock::exclusive(LockKey::Named("server keys"));
const SUBJECT: &str = "instruction_key";
const ANNOUNCED_ALREADY: Failure =
    Failure::conflict("already_announced", "a next instruction key is announced already; switch to it");
const NOT_ANNOUNCED: Failure =
    Failure::conflict("not_announced", "no next instruction key was announced; announce one first");
const NOT_FINISHED: Failure = Failure::conflict(
    "not_finished",
    "the former instruction key still signs for hosts that do not know the one in use; finish that first",
);
const NOT_SWITCHED: Failure =
    Failure::conflict("not_switched", "there is no former instruction key: the last switch is finished");
const NOT_OWN: Failure = Failure::conflict(
    "not_own_certificate",
    "the certificate is kept in files: announce the key of the next one with --tls-announce, then replace the files",
);
const NOT_OWN_BUT_ORDERED: Failure = Failure::conflict(
    "not_own_certificate",
    "the certificate is ordered from a directory and agents pin nothing: it is renewed by itself",
);
const UNANNOUNCED: Failure = Failure::conflict(
    "next_key_unannounced",
    "the next key in the folder of the TLS keys is gone or another one than the hosts were told of: restart the \
     server, which tells them of the one it finds, and rotate once they know it",
);

/// Makes the next instruction key, seals it and tells every agent of it. `key`: PKCS #8.
pub fn announce(
    unit: &mut Unit<'_, '_>,
    app: &App,
    (team_id, author): (TeamId, &Author),
    key: &Zeroizing<Vec<u8>>,
) -> Result<(), Failure> {
    unit.tx.lock(&[LOCK])?;
    if unit.tx.installation(NEXT)?.is_some() {
        return Err(ANNOUNCED_ALREADY);
    }
    if unit.tx.installation(FORMER)?.is_some() {
        return Err(NOT_FINISHED);
    }
    put(unit, app, NEXT, key)?;
    let next = HostKey::from_pkcs8(key).map_err(Failure::internal)?.thumbprint();
    say(unit, app)?;
    let fact = Fact::new(Happening::InstructionKeyAnnounced, team_id, author, SUBJECT);
    unit.happened(fact.details(json!({ "next": next })));
    Ok(())
}

/// Lets the next instruction key sign from now on; the former one goes on for agents that do not know it.
pub fn switch(
    unit: &mut Unit<'_, '_>,
    app: &App,
    (team_id, author): (TeamId, &Author),
    force: bool,
) -> Result<(), Failure> {
    unit.tx.lock(&[LOCK])?;
    let Some(next) = stored::key(unit.tx, &app.keyring, NEXT)? else { return Err(NOT_ANNOUNCED) };
    let current = stored::key(unit.tx, &app.keyring, CURRENT)?;
    let current = current.ok_or_else(|| Failure::internal("the instruction key is gone"))?;
    let said = last_said(unit, app)?;
    let informed = spread(unit.tx, said.next_instruction_since)?;
    may_switch(informed, force)?;
    put(unit, app, FORMER, &current.to_pkcs8())?;
    put(unit, app, CURRENT, &next.to_pkcs8())?;
    unit.tx.installation_remove(NEXT)?;
    let announced_at = said.next_instruction_since;
    stored::store_overlap(unit.tx, Overlap { announced_at, switched_at: unit.now })?;
    say(unit, app)?;
    let details = json!({
        "from": current.thumbprint(), "to": next.thumbprint(),
        "hosts": informed.hosts, "informed": informed.kept,
    });
    unit.happened(Fact::new(Happening::InstructionKeySwitched, team_id, author, SUBJECT).details(details));
    Ok(())
}

/// Destroys the former instruction key: whoever does not know the one in use believes no instruction any more.
pub fn finish(
    unit: &mut Unit<'_, '_>,
    app: &App,
    (team_id, author): (TeamId, &Author),
    force: bool,
) -> Result<(), Failure> {
    unit.tx.lock(&[LOCK])?;
    let Some(former) = stored::key(unit.tx, &app.keyring, FORMER)? else { return Err(NOT_SWITCHED) };
    let keys = stored::load(unit.tx, &app.keyring, app.installation.epoch)?;
    // The key in use was announced before it came into use: who heard that accepts it.
    let announced_at = keys.and_then(|keys| keys.overlap()).map_or(unit.now, |overlap| overlap.announced_at);
    let informed = spread(unit.tx, announced_at)?;
    may_switch(informed, force)?;
    stored::forget_former(unit.tx)?;
    unit.effects.server_keys_changed = true;
    let details =
        json!({ "former": former.thumbprint(), "hosts": informed.hosts, "informed": informed.kept });
    unit.happened(Fact::new(Happening::InstructionKeyFinished, team_id, author, SUBJECT).details(details));
    Ok(())
}

/// Shows the server's own next key to those who connect from now on, makes another next one, and says so to all.
///
/// The files change before the database says so: interrupted between the two, the server says it when it starts or is
/// asked again, and what was shown already is never followed by the key after it.
pub async fn rotate_tls(app: &App, author: &Author, force: bool) -> Result<(), Failure> {
    let _turn = app.installation.tls.take_turn().await;
    let tls = &app.installation.tls;
    match tls.kind() {
        TlsKind::Own => {}
        TlsKind::Acme => return Err(NOT_OWN_BUT_ORDERED),
        _ => return Err(NOT_OWN),
    }
    let epoch = app.installation.epoch;
    let read = app.store.read(move |tx| {
        let said =
            stored::said(tx, epoch)?.ok_or_else(|| Failure::internal("nothing was said of the keys"))?;
        let informed = spread(tx, said.next_since)?;
        Ok::<_, Failure>((said.keys, informed))
    });
    let (said, informed) = read.await?;
    if said.current != tls.pins() {
        return say_pins(app, author).await;
    }
    may_switch(informed, force)?;
    let (inner, now) = (app.clone(), app.clock.now());
    let switched = tokio::task::spawn_blocking(move || inner.installation.tls.switch(now, &said.next));
    switched.await.map_err(Failure::internal)?.map_err(|error| match error {
        TlsError::Unannounced { .. } => {
            tracing::error!(%error, "the TLS key is not rotated");
            UNANNOUNCED
        }
        error => Failure::internal(error),
    })?;
    say_pins(app, author).await
}

/// Tells every agent what is shown and will be, if that is not what was said last.
pub async fn say_pins(app: &App, author: &Author) -> Result<(), Failure> {
    let keys = app.installation.instruction_keys();
    if keys.said().keys == as_they_are(&app.installation.tls, &keys) {
        return Ok(());
    }
    let (inner, author) = (app.clone(), author.clone());
    app.change(Priority::Normal, app.clock.now(), move |unit| {
        unit.tx.lock(&[LOCK])?;
        let Some((before, said)) = say(unit, &inner)? else { return Ok(()) };
        if let Some(team_id) = unit.tx.platform_team_id()? {
            let was = before.map(|before| before.keys);
            let details = json!({
                "pins": said.keys.current,
                "next_pins": said.keys.next,
                "former_pins": was.map(|was| was.current),
            });
            unit.happened(Fact::new(Happening::ServerPinsChanged, team_id, &author, "tls").details(details));
        }
        Ok(())
    })
    .await
}

/// Returns what was said before and now, if that is not the same.
fn say(unit: &mut Unit<'_, '_>, app: &App) -> Result<Option<(Option<Said>, Said)>, Failure> {
    unit.effects.server_keys_changed = true;
    let installation = &app.installation;
    let (before, now) =
        stored::say_anew(unit.tx, &app.keyring, &installation.tls, installation.epoch, unit.now)?;
    Ok(if before.as_ref() == Some(&now) { None } else { Some((before, now)) })
}

fn last_said(unit: &mut Unit<'_, '_>, app: &App) -> Result<Said, Failure> {
    let said = stored::said(unit.tx, app.installation.epoch)?;
    said.ok_or_else(|| Failure::internal("nothing was ever said of the keys"))
}

fn put(unit: &mut Unit<'_, '_>, app: &App, place: &str, pkcs8: &[u8]) -> Result<(), Failure> {
    let sealed = app.keyring.seal_installation(place, unit.draw.bytes(), pkcs8);
    Ok(unit.tx.installation_set(place, &sealed)?)
}
