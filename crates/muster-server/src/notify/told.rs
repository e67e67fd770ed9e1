//! Events with the names that people know: of hosts and of those who acted.

use std::collections::{BTreeMap, BTreeSet};

use muster_ids::{HostId, SiteId, TeamId, UserId};
use muster_store::rows::EventRow;
use serde_json::Value;

use super::text::Told;
use crate::app::App;
use crate::failure::Failure;

/// The names that ids stand for, each under its id.
type Names = BTreeMap<String, String>;

/// Puts names to the ids of events.
pub(super) async fn with_names(
    app: &App,
    team_id: TeamId,
    events: &[EventRow],
) -> Result<Vec<Told>, Failure> {
    let host_ids: BTreeSet<HostId> = events.iter().filter_map(host_of).collect();
    let others = || events.iter().flat_map(|event| [&event.actor, &event.subject]);
    let user_ids: BTreeSet<UserId> = others().filter_map(|id| id.parse().ok()).collect();
    let site_ids: BTreeSet<SiteId> = others().filter_map(|id| id.parse().ok()).collect();
    let names = app
        .look(move |tx| {
            let mut names = Names::new();
            for id in &host_ids {
                names.extend(tx.host(team_id, *id)?.map(|host| (id.to_string(), host.name)));
            }
            for id in &user_ids {
                names.extend(tx.member(team_id, *id)?.map(|member| (id.to_string(), member.name)));
            }
            for id in &site_ids {
                names.extend(tx.site(team_id, *id)?.map(|site| (id.to_string(), site.name)));
            }
            Ok(names)
        })
        .await?;
    Ok(events.iter().map(|event| told(event, &names)).collect())
}

fn told(event: &EventRow, names: &Names) -> Told {
    let host_id = host_of(event);
    Told {
        kind: event.kind.clone(),
        at: event.at,
        subject: event.subject.clone(),
        subject_name: names.get(&event.subject).cloned(),
        host_id,
        host_name: host_id.and_then(|id| names.get(&id.to_string()).cloned()),
        actor: names.get(&event.actor).unwrap_or(&event.actor).clone(),
        details: event.payload.clone(),
    }
}

fn host_of(event: &EventRow) -> Option<HostId> {
    let contested = || event.payload.get("contested_host_id").and_then(Value::as_str)?.parse().ok();
    event.host_id.or_else(contested)
}
