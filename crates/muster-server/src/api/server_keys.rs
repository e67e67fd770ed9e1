//! `/v1/installation/instruction-key` and `/v1/installation/tls`: the server's own keys, rotated step by step.

use axum::extract::State;
use muster_domain::server_keys::Spread;
use muster_http::{Problem, Reply, StrictJson};
use muster_proof::HostKey;
use muster_wire::server_keys::{HostsInformed, InstructionKeys, RotateServerKey, TlsStatus};

use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::server_keys::{self, spread};

/// `GET /v1/installation/instruction-key`
pub async fn instruction_key(
    State(app): State<App>,
    _: Actor<permits::ManageInstallation>,
) -> Result<Reply<InstructionKeys>, Problem> {
    Ok(Reply::new(shown(&app).await?))
}

/// `POST /v1/installation/instruction-key/next`
pub async fn announce(
    State(app): State<App>,
    actor: Actor<permits::ManageInstallation>,
) -> Result<Reply<InstructionKeys>, Problem> {
    let (inner, key) = (app.clone(), HostKey::generate().to_pkcs8());
    let announced = actor.change(&app, app.clock.now(), move |unit, actor| {
        server_keys::announce(unit, &inner, (actor.team_id, &actor.author()), &key)
    });
    announced.await?;
    Ok(Reply::new(shown(&app).await?))
}

/// `POST /v1/installation/instruction-key/switch`
pub async fn switch(
    State(app): State<App>,
    actor: Actor<permits::ManageInstallation>,
    StrictJson(RotateServerKey { force }): StrictJson<RotateServerKey>,
) -> Result<Reply<InstructionKeys>, Problem> {
    let inner = app.clone();
    let switched = actor.change(&app, app.clock.now(), move |unit, actor| {
        server_keys::switch(unit, &inner, (actor.team_id, &actor.author()), force)
    });
    switched.await?;
    Ok(Reply::new(shown(&app).await?))
}

/// `POST /v1/installation/instruction-key/finish`
pub async fn finish(
    State(app): State<App>,
    actor: Actor<permits::ManageInstallation>,
    StrictJson(RotateServerKey { force }): StrictJson<RotateServerKey>,
) -> Result<Reply<InstructionKeys>, Problem> {
    let inner = app.clone();
    let finished = actor.change(&app, app.clock.now(), move |unit, actor| {
        server_keys::finish(unit, &inner, (actor.team_id, &actor.author()), force)
    });
    finished.await?;
    Ok(Reply::new(shown(&app).await?))
}

/// `GET /v1/installation/tls`
pub async fn tls(
    State(app): State<App>,
    _: Actor<permits::ManageInstallation>,
) -> Result<Reply<TlsStatus>, Problem> {
    Ok(Reply::new(tls_shown(&app).await?))
}

/// `POST /v1/installation/tls/rotate`
pub async fn rotate_tls(
    State(app): State<App>,
    actor: Actor<permits::ManageInstallation>,
    StrictJson(RotateServerKey { force }): StrictJson<RotateServerKey>,
) -> Result<Reply<TlsStatus>, Problem> {
    let inner = app.clone();
    let author = actor.author();
    // Runs to its end whoever hangs up: files and database must say the same.
    let rotated = tokio::spawn(async move { server_keys::rotate_tls(&inner, &author, force).await });
    rotated.await.map_err(Problem::internal)??;
    Ok(Reply::new(tls_shown(&app).await?))
}

async fn shown(app: &App) -> Result<InstructionKeys, Failure> {
    let keys = app.installation.instruction_keys();
    let overlap = keys.former().map(|(_, overlap)| overlap);
    let next = keys.next();
    let said = keys.said();
    let announced_at = match (overlap, next) {
        (Some(overlap), _) => Some(overlap.announced_at),
        (None, Some(_)) => Some(said.next_instruction_since),
        (None, None) => None,
    };
    let since = announced_at.unwrap_or(said.issued_at);
    Ok(InstructionKeys {
        current: keys.current(),
        next,
        former: keys.former().map(|(key, _)| key),
        announced_at,
        switched_at: overlap.map(|overlap| overlap.switched_at),
        hosts: informed(app.look(move |tx| spread(tx, since)).await?),
    })
}

async fn tls_shown(app: &App) -> Result<TlsStatus, Failure> {
    let keys = app.installation.instruction_keys();
    let tls = &app.installation.tls;
    let since = keys.said().next_since;
    let next_pins = tls.next_pins();
    Ok(TlsStatus {
        kind: tls.kind(),
        pins: tls.pins(),
        announced_at: (!next_pins.is_empty()).then_some(since),
        next_pins,
        expires_at: tls.expires_at(),
        problem: tls.problem(),
        order: tls.order(),
        hosts: informed(app.look(move |tx| spread(tx, since)).await?),
    })
}

fn informed(Spread { hosts, kept }: Spread) -> HostsInformed {
    HostsInformed { hosts, informed: kept }
}
