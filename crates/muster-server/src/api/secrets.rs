//! `/v1/hosts/{host_id}/secrets`: set by people, delivered to the host, never returned.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictJson, StrictPath, StrictQuery};
use muster_ids::HostId;
use muster_store::rows::{DeliveryRow, ShownSecret};
use muster_store::{Lock, LockKey};
use muster_wire::happening::Happening;
use muster_wire::host::HostState;
use muster_wire::page::Page;
use muster_wire::secret::{Delivery, Document, SecretMetadata};
use muster_wire::text::SecretName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::hosts::HostPath;
use super::page::{PageQuery, limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::host_config;
use crate::secrets::{self, Owner};
use crate::unit::{Fact, Unit};

const LIST: &str = "secrets";
/// Most deliveries that are listed of one secret.
const MAX_DELIVERIES: i64 = 100;

/// The secret of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SecretPath {
    /// The host.
    pub host_id: HostId,
    /// The name of the secret.
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
            writable(unit, actor, path.host_id)?;
            let owner = Owner::host(actor.team_id, path.host_id);
            let row = secrets::put(unit, &keyring, &owner, &path.name, &patch, "")?;
            host_config::changed(unit, path.host_id)?;
            let set = Fact::new(Happening::SecretSet, actor.team_id, &actor.author(), path.host_id);
            let details = json!({ "secret": row.name, "version": row.version });
            unit.happened(set.of_host(path.host_id).changed(patch.field_names()).details(details));
            let shown = unit.tx.secrets_shown(actor.team_id, path.host_id)?;
            let shown = shown.into_iter().find(|shown| shown.id == row.id).ok_or(Failure::NotFound)?;
            Ok(view(shown, &unit.tx.secret_deliveries(actor.team_id, path.host_id, MAX_DELIVERIES)?))
        })
        .await?;
    Ok(Reply::new(metadata))
}

fn writable<P>(unit: &mut Unit<'_, '_>, actor: &Actor<P>, host_id: HostId) -> Result<(), Failure> {
    unit.tx.lock(&[Lock::shared(LockKey::Host(host_id))])?;
    match unit.tx.host_state(actor.team_id, host_id)?.ok_or(Failure::NotFound)? {
        HostState::Retired => Err(Failure::conflict("host_retired", "a retired host holds no secrets")),
        HostState::Invited | HostState::Active | HostState::Suspended => Ok(()),
    }
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
