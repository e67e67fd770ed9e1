//! `/v1/sites`: places and their policies.

use axum::extract::State;
use muster_http::{Created, Problem, Reply, StrictJson, StrictPath, StrictQuery};
use muster_ids::SiteId;
use muster_store::rows::SiteRow;
use muster_store::{Lock, LockKey};
use muster_wire::happening::Happening;
use muster_wire::page::Page;
use muster_wire::site::{CreateSite, SetSitePolicy, Site, SitePolicy};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::page::{PageQuery, limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::unit::Fact;

const LIST: &str = "sites";

/// The site of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SitePath {
    /// The site.
    pub site_id: SiteId,
}

/// `GET /v1/sites`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Result<Reply<Page<Site>>, Problem> {
    let after = open_cursor(&app, actor.team_id, LIST, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let rows = app.look(move |tx| tx.sites(actor.team_id, after, limit + 1)).await?;
    Ok(Reply::new(page(&app, actor.team_id, LIST, rows, limit, |row| row.id, view)?))
}

/// `POST /v1/sites`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::ManageSites>,
    StrictJson(request): StrictJson<CreateSite>,
) -> Result<Created<Site>, Problem> {
    let now = app.clock.now();
    let site = actor
        .change(&app, now, move |unit, actor| {
            let row = SiteRow {
                id: SiteId::from_uuid(unit.draw.uuid(now)),
                team_id: actor.team_id,
                name: request.name.to_string(),
                policy: request.policy.clone(),
                created_at: now,
            };
            if !unit.tx.site_insert(&row)? {
                return Err(Failure::conflict("name_taken", "the team has a site of this name"));
            }
            let created = Fact::new(Happening::SiteCreated, row.team_id, &actor.author(), row.id);
            unit.happened(created.details(json!({ "name": row.name, "policy": row.policy })));
            Ok(view(row))
        })
        .await?;
    Ok(Created::new(site))
}

/// `GET /v1/sites/{site_id}`
pub async fn get(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictPath(path): StrictPath<SitePath>,
) -> Result<Reply<Site>, Problem> {
    let row = app.look(move |tx| tx.site(actor.team_id, path.site_id)).await?.ok_or(Failure::NotFound)?;
    Ok(Reply::new(view(row)))
}

/// `PUT /v1/sites/{site_id}/policy`
pub async fn set_policy(
    State(app): State<App>,
    actor: Actor<permits::ManageSites>,
    StrictPath(path): StrictPath<SitePath>,
    StrictJson(request): StrictJson<SetSitePolicy>,
) -> Result<Reply<Site>, Problem> {
    let now = app.clock.now();
    let site = actor
        .change(&app, now, move |unit, actor| {
            unit.tx.lock(&[Lock::exclusive(LockKey::Site(path.site_id))])?;
            let before = unit.tx.site(actor.team_id, path.site_id)?.ok_or(Failure::NotFound)?;
            if !unit.tx.site_set_policy(actor.team_id, path.site_id, &request.policy)? {
                return Err(Failure::NotFound);
            }
            let set = Fact::new(Happening::SitePolicySet, actor.team_id, &actor.author(), path.site_id);
            let changed = changed(&before.policy, &request.policy);
            unit.happened(set.changed(changed).details(json!({ "policy": request.policy })));
            Ok(view(SiteRow { policy: request.policy.clone(), ..before }))
        })
        .await?;
    Ok(Reply::new(site))
}

/// Names the fields in which a policy differs from the one before.
fn changed(before: &SitePolicy, after: &SitePolicy) -> Vec<String> {
    let (before, after) = (json!(before), json!(after));
    let fields = after.as_object().into_iter().flatten();
    fields
        .filter(|(name, value)| before.get(name.as_str()) != Some(*value))
        .map(|(name, _)| name.clone())
        .collect()
}

fn view(row: SiteRow) -> Site {
    Site { id: row.id, team_id: row.team_id, name: row.name, policy: row.policy, created_at: row.created_at }
}
