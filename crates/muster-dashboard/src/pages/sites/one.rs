//! `/sites/{site_id}`: a site, its rules and its keys.

use askama::Template;
use muster_ids::SiteId;
use muster_wire::page::Page;
use muster_wire::permission::Permission;
use muster_wire::site::Site;
use muster_wire::ticket::{Ticket, TicketStatus};

use crate::pages::tickets::Names;
use crate::path::Named;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::joining;

/// Most pages of 200 site keys of the team that are looked through for those of one site.
const MOST_PAGES: usize = 10;

#[derive(Template)]
#[template(path = "site.html")]
pub(crate) struct SitePage {
    shell: Shell,
    site: Site,
    /// Keys that admit, newest first; then those that do not any more.
    keys: Vec<Ticket>,
    former: Vec<Ticket>,
    /// Whether there are more keys than were looked through.
    is_cut: bool,
    names: Names,
    may_manage: bool,
    may_mint: bool,
}

/// `GET /sites/{site_id}`
pub(crate) async fn get(visit: Visit, Named(id): Named<SiteId>) -> Answered {
    let page = SitePage::load(&visit, id).await.map_err(|refusal| visit.refused(refusal))?;
    visit.page(&page)
}

impl SitePage {
    async fn load(visit: &Visit, id: SiteId) -> Result<Self, Refusal> {
        let site: Site = visit.api.get(&format!("/v1/sites/{id}")).await?;
        let (keys, is_cut) = keys_of(visit, id).await?;
        let names = Names::of(visit, keys.iter().filter_map(|key| key.last_host_id)).await?;
        let mut page = Self::new(visit.shell(&site.name), site, keys, names);
        page.is_cut = is_cut;
        page.may_manage = visit.may(Permission::ManageSites);
        page.may_mint = visit.may(Permission::ManageSiteKeys);
        Ok(page)
    }

    fn new(shell: Shell, site: Site, mut keys: Vec<Ticket>, names: Names) -> Self {
        keys.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        let (keys, former) = keys.into_iter().partition(|key| joining::is_alive(key.status));
        Self { shell, site, keys, former, is_cut: false, names, may_manage: true, may_mint: true }
    }

    fn policy(&self) -> Vec<String> {
        joining::policy(&self.site.policy)
    }

    fn may_rotate(&self, key: &Ticket) -> bool {
        self.may_mint && key.status == TicketStatus::Open
    }
}

/// Returns the site keys of one site: the API lists those of the whole team.
async fn keys_of(visit: &Visit, id: SiteId) -> Result<(Vec<Ticket>, bool), Refusal> {
    let mut keys = Vec::new();
    let mut query = Query::default().with("kind", "site_key").with("limit", "200");
    for _ in 0..MOST_PAGES {
        let page: Page<Ticket> = visit.api.get(&query.on("/v1/tickets")).await?;
        keys.extend(page.items.into_iter().filter(|key| key.site_id == id));
        let Some(cursor) = page.next_cursor else { return Ok((keys, false)) };
        query = query.with("cursor", &cursor);
    }
    Ok((keys, true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pages::tickets::tests::{NEXT_KEY, names, ticket};
    use crate::samples;

    impl SitePage {
        pub(crate) fn sample() -> Self {
            let mut rotated = serde_json::to_value(ticket("site_key", "rotated")).unwrap();
            rotated["rotation"] = json!({ "to": NEXT_KEY, "at": samples::ago(600),
                "both_admit_until": samples::NOW.plus(std::time::Duration::from_secs(300_000)) });
            let mut next = ticket("site_key", "open");
            next.id = NEXT_KEY.parse().unwrap();
            next.created_at = samples::ago(600);
            next.uses = 0;
            next.last_host_id = None;
            next.last_used_at = None;
            let keys = vec![samples::of(rotated), ticket("site_key", "revoked"), next];
            Self::new(Shell::sample("Bremen", "/sites/x"), samples::site(), keys, names())
        }
    }

    #[test]
    fn the_page_of_a_site() {
        samples::check("site", &SitePage::sample());
    }

    #[test]
    fn a_site_without_keys_says_what_to_do() {
        let shell = Shell::sample("Bremen", "/sites/x");
        let mut page = SitePage::new(shell, samples::site(), Vec::new(), Names::default());
        assert!(page.render().unwrap().contains("Make a site key"));
        page.may_mint = false;
        page.may_manage = false;
        let html = page.render().unwrap();
        assert!(!html.contains("Make a site key") && !html.contains("/policy"));
        assert!(html.contains("Ask an owner of your team"));
    }
}
