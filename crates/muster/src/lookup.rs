//! Names or ids wherever an object is named.

use std::fmt::Display;
use std::str::FromStr;

use muster_client::api::{HostFilter, collect};
use muster_ids::{EndpointId, HostId, SiteId, TeamId, UserId};
use muster_wire::host::HostState;

use crate::failure::Failure;
use crate::operator::Operator;
use crate::output::visible;
use crate::words::word;

/// An object that bears the name somebody asked for.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<I> {
    /// Its id.
    pub id: I,
    /// What tells it from others of the same name.
    pub note: String,
    /// Whether it is gone: chosen only if nothing living has the name.
    pub gone: bool,
}

/// Finds the one object that is meant, among those that bear the name.
fn choose<I: Copy + Display>(noun: &str, name: &str, candidates: &[Candidate<I>]) -> Result<I, Failure> {
    let living: Vec<_> = candidates.iter().filter(|candidate| !candidate.gone).collect();
    let meant = if living.is_empty() { candidates.iter().collect() } else { living };
    let shown = visible(name);
    match meant.as_slice() {
        [one] => Ok(one.id),
        [] => Err(Failure::failed(
            format!("no {noun} is called `{shown}`"),
            format!("`{}` shows them; something of another team needs --team", list_of(noun)),
        )),
        several => {
            let listed: Vec<String> = several
                .iter()
                .map(|candidate| format!("{} ({})", candidate.id, visible(&candidate.note)))
                .collect();
            Err(Failure::failed(
                format!("{} {noun}s are called `{shown}`: {}", several.len(), listed.join(", ")),
                "name one by its id",
            ))
        }
    }
}

/// Returns the command that lists what is called so.
fn list_of(noun: &str) -> String {
    // Webhooks and notifications are endpoints both.
    let noun = if noun == "endpoint" { "notify" } else { noun };
    format!("muster {noun} list")
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

/// Parses an id; `None` means the text is a name.
fn as_id<I: FromStr>(text: &str) -> Option<I> {
    text.parse().ok()
}

/// Parses the id of an object that has no name.
pub(crate) fn id<I: FromStr>(noun: &str, text: &str) -> Result<I, Failure> {
    as_id(text).ok_or_else(|| {
        Failure::usage(
            format!("`{}` is not the id of {} {noun}", visible(text), article(noun)),
            format!("`{}` shows ids", list_of(noun)),
        )
    })
}

impl Operator {
    /// Finds a team by id or name.
    pub(crate) async fn team(&self, text: &str) -> Result<TeamId, Failure> {
        if let Some(id) = as_id(text) {
            return Ok(id);
        }
        let teams = collect(None, async |page| self.client.teams(&page).await).await?;
        let named = teams.items.iter().filter(|team| team.name == text);
        let candidates: Vec<_> = named
            .map(|team| Candidate { id: team.id, note: format!("made {}", team.created_at), gone: false })
            .collect();
        choose("team", text, &candidates)
    }

    /// Finds a member of the team by id or name.
    pub(crate) async fn person(&self, text: &str) -> Result<UserId, Failure> {
        if let Some(id) = as_id(text) {
            return Ok(id);
        }
        let people = collect(None, async |page| self.client.people(&page).await).await?;
        // A team has one person of a name.
        let named = people.items.iter().find(|person| person.name == text);
        named.map(|person| person.id).ok_or_else(|| {
            Failure::failed(
                format!("nobody is called `{}`", visible(text)),
                "`muster people list` shows who is there; somebody of another team needs --team",
            )
        })
    }

    /// Finds a site by id or name.
    pub(crate) async fn site(&self, text: &str) -> Result<SiteId, Failure> {
        if let Some(id) = as_id(text) {
            return Ok(id);
        }
        let sites = collect(None, async |page| self.client.sites(&page).await).await?;
        let named = sites.items.iter().filter(|site| site.name == text);
        let candidates: Vec<_> = named
            .map(|site| Candidate { id: site.id, note: format!("made {}", site.created_at), gone: false })
            .collect();
        choose("site", text, &candidates)
    }

    /// Finds a site by id or name, if one was named.
    pub(crate) async fn optional_site(&self, text: Option<&str>) -> Result<Option<SiteId>, Failure> {
        match text {
            Some(text) => self.site(text).await.map(Some),
            None => Ok(None),
        }
    }

    /// Finds an endpoint, a webhook or a notification, by id or name.
    pub(crate) async fn endpoint(&self, text: &str) -> Result<EndpointId, Failure> {
        if let Some(id) = as_id(text) {
            return Ok(id);
        }
        let endpoints = collect(None, async |page| self.client.endpoints(&page).await).await?;
        let named = endpoints.items.iter().filter(|endpoint| endpoint.name == text);
        let candidates: Vec<_> = named
            .map(|endpoint| Candidate { id: endpoint.id, note: word(&endpoint.kind), gone: false })
            .collect();
        choose("endpoint", text, &candidates)
    }

    /// Finds a host by id or name; a living host wins over retired ones of its name.
    pub(crate) async fn host(&self, text: &str) -> Result<HostId, Failure> {
        if let Some(id) = as_id(text) {
            return Ok(id);
        }
        let filter = HostFilter { name: Some(text.to_owned()), ..HostFilter::default() };
        let hosts = collect(None, async |page| self.client.hosts(&filter, &page).await).await?;
        let named = hosts.items.iter();
        let candidates: Vec<_> = named
            .map(|host| Candidate {
                id: host.id,
                note: word(&host.state),
                gone: host.state == HostState::Retired,
            })
            .collect();
        choose("host", text, &candidates)
    }

    /// Finds the query of a saved view of one's own by its name.
    pub(crate) async fn view(&self, name: &str) -> Result<String, Failure> {
        let views = self.client.views().await?;
        let named = views.items.iter().find(|view| view.name == name);
        named.map(|view| view.query.clone()).ok_or_else(|| {
            Failure::failed(
                format!("no view of yours is called `{}`", visible(name)),
                "`muster view list` shows them; those in another team need --team",
            )
        })
    }
}

#[cfg(test)]
mod tests;
