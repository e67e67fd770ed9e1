//! The names that ids stand for.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::join_all;
use muster_ids::HostId;
use muster_wire::endpoint::Endpoint;
use muster_wire::event::Event;
use muster_wire::host::Host;
use muster_wire::page::Page;
use muster_wire::people::Person;
use muster_wire::permission::Permission;
use muster_wire::site::Site;
use serde_json::Value;

use super::kinds;
use crate::markup::escape;
use crate::refusal::Refusal;
use crate::visit::Visit;

/// The names that ids stand for; an id without one is shown by its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(HashMap<String, String>);

impl Names {
    /// Asks for the names of what events are about.
    pub(crate) async fn of_events(visit: &Visit, events: &[Event]) -> Result<Self, Refusal> {
        let mut ids: BTreeSet<String> = BTreeSet::new();
        for event in events {
            ids.extend([event.subject.clone(), event.actor.clone()]);
            ids.extend(event.host_id.map(|id| id.to_string()));
            let named =
                ["contested_host_id", "site_id"].into_iter().filter_map(|name| event.payload.get(name));
            ids.extend(named.filter_map(Value::as_str).map(str::to_owned));
        }
        Self::of(visit, &ids).await
    }

    /// Asks for the names of ids, whatever they are of.
    pub(crate) async fn of(visit: &Visit, ids: &BTreeSet<String>) -> Result<Self, Refusal> {
        let has = |prefix: &str| ids.iter().any(|id| id.starts_with(prefix));
        let sees_people = visit.may(Permission::SeePeople) && has("user_");
        let sees_endpoints = visit.may(Permission::ManageEndpoints) && has("endpoint_");
        let hosts = ids.iter().filter_map(|id| id.parse().ok());
        let (hosts, sites, people, endpoints) = tokio::join!(
            host_names(visit, hosts),
            some::<Site>(visit, has("site_"), "/v1/sites?limit=200"),
            some::<Person>(visit, sees_people, "/v1/people?limit=200"),
            some::<Endpoint>(visit, sees_endpoints, "/v1/endpoints?limit=200"),
        );
        let hosts = hosts?.into_iter().map(|(id, name)| (id.to_string(), name));
        let mut names: HashMap<String, String> = hosts.collect();
        names.extend(sites?.into_iter().map(|site| (site.id.to_string(), site.name.to_string())));
        names.extend(people?.into_iter().map(|person| (person.id.to_string(), person.name)));
        names.extend(endpoints?.into_iter().map(|endpoint| (endpoint.id.to_string(), endpoint.name)));
        names.insert(visit.me.user_id.to_string(), visit.me.name.clone());
        Ok(Self(names))
    }

    /// Returns the name of what an id stands for, as a link to its page if it has one; escaped. `kind` says what an id
    /// without a prefix is of.
    pub(crate) fn link(&self, kind: &str, id: &str) -> String {
        let name = escape(&self.name(kind, id));
        match kinds::href(kind, id) {
            Some(href) => format!("<a href=\"{}\">{name}</a>", escape(&href)),
            None => name,
        }
    }

    /// Returns the name of what an id stands for, or its end.
    pub(crate) fn name(&self, kind: &str, id: &str) -> String {
        if let Some(name) = self.0.get(id) {
            return name.clone();
        }
        let short =
            |text: &str| text.chars().skip(text.chars().count().saturating_sub(6)).collect::<String>();
        let word = match id.split_once('_').map(|(prefix, _)| prefix) {
            Some("host") => "host",
            Some("claim") => "claim",
            Some("job") => "job",
            Some("site") => "site",
            Some("endpoint") => "endpoint",
            Some("user") => "person",
            Some("team") => "team",
            Some("secret") => "secret",
            None if kinds::href(kind, id).is_some() => "ticket",
            _ if id == "system" => return "the server".to_owned(),
            _ if id.starts_with("jkt:") => "key",
            _ => return id.to_owned(),
        };
        format!("{word} …{}", short(id))
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        use crate::samples::{HOST, HOSTILE, OTHER_HOST, SITE};
        let names = [(HOST, "web-01"), (OTHER_HOST, HOSTILE), (SITE, "Bremen")];
        Self(names.into_iter().map(|(id, name)| (id.to_owned(), name.to_owned())).collect())
    }
}

/// Asks for the names of hosts, one request for each of them; who is not shown to this person has none.
pub(crate) async fn host_names(
    visit: &Visit,
    ids: impl IntoIterator<Item = HostId>,
) -> Result<HashMap<HostId, String>, Refusal> {
    let ids: BTreeSet<HostId> = ids.into_iter().collect();
    let asked = ids.into_iter().map(|id| async move {
        let host: Option<Host> = visit.api.get_if_shown(&format!("/v1/hosts/{id}")).await?;
        Ok::<_, Refusal>(host.map(|host| (id, host.name)))
    });
    let found: Result<Vec<_>, Refusal> = join_all(asked).await.into_iter().collect();
    Ok(found?.into_iter().flatten().collect())
}

async fn some<T: serde::de::DeserializeOwned>(
    visit: &Visit,
    is_needed: bool,
    path: &str,
) -> Result<Vec<T>, Refusal> {
    if !is_needed {
        return Ok(Vec::new());
    }
    let page: Option<Page<T>> = visit.api.get_if_shown(path).await?;
    Ok(page.map(|page| page.items).unwrap_or_default())
}
