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

/// Where keys stand that admit, and where those do that do not any more.
const ADMIT: &str = "open,rotated";
const FORMER: &str = "used_up,expired,rotated_out,revoked";

#[derive(Template)]
#[template(path = "site.html")]
pub(crate) struct SitePage {
    shell: Shell,
    site: Site,
    /// The newest keys that admit, and the newest that do not any more.
    keys: Vec<Ticket>,
    former: Vec<Ticket>,
    /// Whether there are more keys than these.
    is_cut: bool,
    names: Names,
    may_manage: bool,
    may_mint: bool,
}

/// `GET /sites/{site_id}`
pub(crate) async fn get(visit: Visit, Named(id): Named<SiteId>) -> Answered {
    let page = SitePage::load(&visit, id).await?;
    visit.page(&page)
}

impl SitePage {
    async fn load(visit: &Visit, id: SiteId) -> Result<Self, Refusal> {
        let site: Site = visit.api.get(&format!("/v1/sites/{id}")).await?;
        let (keys, former) = tokio::try_join!(keys_of(visit, id, ADMIT), keys_of(visit, id, FORMER))?;
        let is_cut = keys.next_cursor.is_some() || former.next_cursor.is_some();
        let (keys, former) = (keys.items, former.items);
        let used_by = keys.iter().chain(&former).filter_map(|key| key.last_host_id);
        let names = Names::of(visit, used_by).await?;
        let mut page = Self::new(visit.shell(&site.name), site, keys, former, names);
        page.is_cut = is_cut;
        page.may_manage = visit.may(Permission::ManageSites);
        page.may_mint = visit.may(Permission::ManageSiteKeys);
        Ok(page)
    }

    fn new(shell: Shell, site: Site, keys: Vec<Ticket>, former: Vec<Ticket>, names: Names) -> Self {
        Self { shell, site, keys, former, is_cut: false, names, may_manage: true, may_mint: true }
    }

    fn policy(&self) -> Vec<String> {
        joining::policy(&self.site.policy)
    }

    fn may_rotate(&self, key: &Ticket) -> bool {
        self.may_mint && key.status == TicketStatus::Open
    }
}

/// Returns the newest keys of a site that stand at one of these.
async fn keys_of(visit: &Visit, id: SiteId, statuses: &str) -> Result<Page<Ticket>, Refusal> {
    let query = Query::default().with("kind", "site_key").with("site_id", &id.to_string());
    let query = query.with("status", statuses).with("order", "desc").with("limit", "200");
    visit.api.get(&query.on("/v1/tickets")).await
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
            let (keys, former) = (vec![next, samples::of(rotated)], vec![ticket("site_key", "revoked")]);
            Self::new(Shell::sample("Bremen", "/sites/x"), samples::site(), keys, former, names())
        }
    }

    #[test]
    fn the_page_of_a_site() {
        samples::check("site", &SitePage::sample());
    }

    #[test]
    fn a_key_that_admits_is_never_among_the_former_ones() {
        let is_alive = |word: &str| joining::is_alive(samples::of::<TicketStatus>(json!(word)));
        assert!(ADMIT.split(',').all(is_alive));
        assert!(!FORMER.split(',').any(is_alive));
    }

    #[test]
    fn a_site_without_keys_says_what_to_do() {
        let shell = Shell::sample("Bremen", "/sites/x");
        let mut page = SitePage::new(shell, samples::site(), Vec::new(), Vec::new(), Names::default());
        assert!(page.render().unwrap().contains("Make a site key"));
        page.may_mint = false;
        page.may_manage = false;
        let html = page.render().unwrap();
        assert!(!html.contains("Make a site key") && !html.contains("/policy"));
        assert!(html.contains("Ask an owner of your team"));
    }
}
