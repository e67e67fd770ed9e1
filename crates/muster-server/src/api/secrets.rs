//! `/v1/hosts/{host_id}/secrets`, and `/v1/secrets` of many hosts: set by people, delivered to the host, never returned.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictJson, StrictPath, StrictQuery};
use muster_ids::HostId;
use muster_keyring::Keyring;
use muster_store::rows::{DeliveryRow, SecretRow, ShownSecret};
use muster_store::{Lock, LockKey};
use muster_wire::happening::Happening;
use muster_wire::host::HostState;
use muster_wire::page::Page;
use muster_wire::secret::{Delivery, Document, PushSecret, PushedSecret, PushedTo, SecretMetadata};
use muster_wire::text::SecretName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::hosts::HostPath;
use super::page::{PageQuery, limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::{Failure, Named};
use crate::host_config;
use crate::problems;
use crate::secrets::{self, Owners, Patch};
use crate::unit::{Fact, Unit};

const LIST: &str = "secrets";
/// Most deliveries that are listed of one secret.
const MAX_DELIVERIES: i64 = 100;
const RETIRED: Failure = Failure::conflict("host_retired", "a retired host holds no secrets");

/// The secret of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SecretPath {
    /// The host.
    pub host_id: HostId,
    /// The name of the secret.
    pub name: SecretName,
}

/// The name that a secret has on several hosts.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SecretNamePath {
    /// The name of the secrets.
    pub name: SecretName,
}

/// `GET /v1/hosts/{host_id}/secrets`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictPath(path): StrictPath<HostPath>,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Result<Reply<Page<SecretMetadata>>, Problem> {
    let list = format!("{LIST} {}", path.host_id);
    let after: Option<String> = open_cursor(&app, actor.team_id, &list, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let found = app
        .look(move |tx| {
            if tx.host_state(actor.team_id, path.host_id)?.is_none() {
                return Ok(None);
            }
            let rows = tx.secrets_shown(actor.team_id, path.host_id)?;
            Ok(Some((rows, tx.secret_deliveries(actor.team_id, path.host_id, MAX_DELIVERIES)?)))
        })
        .await?;
    let (mut rows, deliveries) = found.ok_or(Failure::NotFound)?;
    rows.retain(|row| after.as_ref().is_none_or(|after| row.name > *after));
    let page =
        page(&app, actor.team_id, &list, rows, limit, |row| row.name.clone(), |row| view(row, &deliveries))?;
    Ok(Reply::new(page))
}

/// `PUT /v1/hosts/{host_id}/secrets/{name}`: merges as RFC 7396, and pushes to the host.
pub async fn set(
    State(app): State<App>,
    actor: Actor<permits::ManageSecrets>,
    StrictPath(path): StrictPath<SecretPath>,
    StrictJson(patch): StrictJson<Document>,
) -> Result<Reply<SecretMetadata>, Problem> {
    let keyring = app.keyring.clone();
    let metadata = actor
        .change(&app, app.clock.now(), move |unit, actor| {
            let patch = Patch { name: &path.name, document: &patch, at: "" };
            let row = set_on_hosts(unit, &keyring, actor, &[path.host_id], &patch)?.pop();
            let row = row.ok_or(Failure::NotFound)?;
            let shown = unit.tx.secrets_shown(actor.team_id, path.host_id)?;
            let shown = shown.into_iter().find(|shown| shown.id == row.id).ok_or(Failure::NotFound)?;
            Ok(view(shown, &unit.tx.secret_deliveries(actor.team_id, path.host_id, MAX_DELIVERIES)?))
        })
        .await?;
    Ok(Reply::new(metadata))
}

/// `PUT /v1/secrets/{name}`: does the same for many hosts, for all of them or for none.
pub async fn push(
    State(app): State<App>,
    actor: Actor<permits::ManageSecrets>,
    StrictPath(path): StrictPath<SecretNamePath>,
    StrictJson(request): StrictJson<PushSecret>,
) -> Result<Reply<PushedSecret>, Problem> {
    let keyring = app.keyring.clone();
    let named: Vec<HostId> = request.hosts.iter().copied().collect();
    let mut hosts = named.clone();
    hosts.sort_unstable();
    let pushed = actor
        .change(&app, app.clock.now(), move |unit, actor| {
            let patch = Patch { name: &path.name, document: &request.document, at: "/document" };
            let rows = set_on_hosts(unit, &keyring, actor, &hosts, &patch)?;
            let items = hosts.iter().zip(rows).map(|(host_id, row)| pushed_to(*host_id, row));
            Ok(PushedSecret { items: items.collect::<Result<_, _>>()? })
        })
        .await;
    Ok(Reply::new(pushed.map_err(|failure| problems::of_many(failure, &named))?))
}

/// Sets the secret of each of these hosts, tells of each, and lets each have it after the commit.
fn set_on_hosts<P>(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    actor: &Actor<P>,
    hosts: &[HostId],
    patch: &Patch<'_>,
) -> Result<Vec<SecretRow>, Failure> {
    are_writable(unit, actor, hosts)?;
    let rows = secrets::put_all(unit, keyring, &Owners::hosts(actor.team_id, hosts), patch)?;
    host_config::all_changed(unit, hosts)?;
    let author = actor.author();
    for (host_id, row) in hosts.iter().zip(&rows) {
        let set = Fact::new(Happening::SecretSet, actor.team_id, &author, host_id).of_host(*host_id);
        let details = json!({ "secret": row.name, "version": row.version });
        unit.happened(set.changed(patch.document.field_names()).details(details));
    }
    Ok(rows)
}

fn are_writable<P>(unit: &mut Unit<'_, '_>, actor: &Actor<P>, hosts: &[HostId]) -> Result<(), Failure> {
    let locks: Vec<Lock> = hosts.iter().map(|host_id| Lock::shared(LockKey::Host(*host_id))).collect();
    unit.tx.lock(&locks)?;
    let states = unit.tx.host_states(actor.team_id, hosts)?;
    for (host_id, state) in hosts.iter().zip(states) {
        let refused = match state {
            None => Failure::NotFound,
            Some(HostState::Retired) => RETIRED,
            Some(_) => continue,
        };
        return Err(refused.of(Named::Host(*host_id)));
    }
    Ok(())
}

fn pushed_to(host_id: HostId, row: SecretRow) -> Result<PushedTo, Failure> {
    let version = u64::try_from(row.version).map_err(Failure::internal)?;
    Ok(PushedTo { host_id, secret_id: row.id, version, fields: row.fields })
}

fn view(shown: ShownSecret, deliveries: &[DeliveryRow]) -> SecretMetadata {
    let own = deliveries.iter().filter(|delivery| delivery.secret_id == shown.id).map(|delivery| Delivery {
        version: delivery.version,
        key: delivery.key,
        delivered_at: delivery.confirmed_at,
    });
    SecretMetadata {
        deliveries: own.collect(),
        id: shown.id,
        name: shown.name,
        version: shown.version,
        fields: shown.fields,
        updated_at: shown.updated_at,
        exposed: shown.exposed,
    }
}
