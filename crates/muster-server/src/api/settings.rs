//! `/v1/settings`: what holds for the whole installation.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictJson};
use muster_store::rows::SettingRow;
use muster_store::{Lock, LockKey, StoreError, Tx};
use muster_wire::happening::Happening;
use muster_wire::page::Page;
use muster_wire::permission::Permission;
use muster_wire::settings::{SetSettings, Setting, SettingName};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::{Actor, permits};
use crate::settings::{parse, value};
use crate::unit::Fact;

const SETTINGS: Lock = Lock::exclusive(LockKey::Named("settings"));

/// `GET /v1/settings`
pub async fn list(
    State(app): State<App>,
    _: Actor<permits::ManageInstallation>,
) -> Result<Reply<Page<Setting>>, Problem> {
    Ok(Reply::new(app.look(shown).await?))
}

/// `PUT /v1/settings`
pub async fn set(
    State(app): State<App>,
    actor: Actor<permits::ManageInstallation>,
    StrictJson(request): StrictJson<SetSettings>,
) -> Result<Reply<Page<Setting>>, Problem> {
    let changed = actor.change(&app, app.clock.now(), move |unit, actor| {
        unit.tx.lock(&[SETTINGS])?;
        let (mut names, mut details) = (Vec::new(), serde_json::Map::new());
        for (name, new) in request.named() {
            let before = value(unit.tx, name)?;
            if before == new {
                continue;
            }
            if name == SettingName::AuditKeepDays {
                actor.must_cover(Permission::ManageAudit)?;
            }
            unit.tx.setting_set(name.as_str(), &new.to_string(), unit.now)?;
            names.push(name.as_str());
            details.insert(name.to_string(), json!({ "from": before, "to": new }));
        }
        if !names.is_empty() {
            let fact = Fact::new(Happening::SettingChanged, actor.team_id, &actor.author(), "settings");
            unit.happened(fact.changed(names).details(Value::Object(details)));
        }
        Ok(shown(unit.tx)?)
    });
    Ok(Reply::new(changed.await?))
}

fn shown(tx: &mut Tx<'_>) -> Result<Page<Setting>, StoreError> {
    let rows = tx.settings()?;
    let items = SettingName::ALL.iter().map(|name| view(*name, &rows)).collect();
    Ok(Page { items, next_cursor: None })
}

fn view(name: SettingName, rows: &[SettingRow]) -> Setting {
    let row = rows.iter().find(|row| row.name == name.as_str());
    let value = row.and_then(|row| parse(name, &row.value));
    let (least, most) = name.bounds();
    Setting {
        name: name.to_string(),
        says: name.says().to_owned(),
        value: value.unwrap_or(name.default_value()),
        default: name.default_value(),
        least,
        most,
        changed_at: row.filter(|_| value.is_some()).map(|row| row.changed_at),
    }
}
