//! `/sites`: where hosts stand, and how each site admits machines.

pub(crate) mod one;
pub(crate) mod policy;

use askama::Template;
use muster_wire::page::Page;
use muster_wire::permission::Permission;
use muster_wire::site::Site;

use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::joining;

#[derive(Template)]
#[template(path = "sites.html")]
pub(crate) struct SitesPage {
    shell: Shell,
    sites: Vec<Site>,
    may_manage: bool,
    next: Option<String>,
    first: Option<String>,
}

/// `GET /sites`
pub(crate) async fn list(visit: Visit) -> Answered {
    let path = visit.query.only(&["limit", "cursor"]).on("/v1/sites");
    let sites: Page<Site> = visit.api.get(&path).await?;
    let (next, first) = visit.query.ways("/sites", sites.next_cursor.as_deref());
    let may_manage = visit.may(Permission::ManageSites);
    visit.page(&SitesPage { shell: visit.shell("Sites"), sites: sites.items, may_manage, next, first })
}

impl SitesPage {
    fn policy(&self, site: &Site) -> Vec<String> {
        joining::policy(&site.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    impl SitesPage {
        pub(crate) fn sample() -> Self {
            let mut hostile = samples::site();
            hostile.name = samples::HOSTILE.to_owned();
            hostile.policy.new = muster_wire::site::NewPolicy::Approve;
            hostile.policy.reimage = muster_wire::site::ReimagePolicy::Auto;
            let shell = Shell::sample("Sites", "/sites");
            Self { shell, sites: vec![samples::site(), hostile], may_manage: true, next: None, first: None }
        }
    }

    #[test]
    fn the_list_of_sites() {
        samples::check("sites", &SitesPage::sample());
    }

    #[test]
    fn a_team_without_sites_is_told_what_to_do() {
        let mut page = SitesPage { sites: Vec::new(), ..SitesPage::sample() };
        assert!(page.render().unwrap().contains("Make the first site"));
        page.may_manage = false;
        assert!(page.render().unwrap().contains("Ask an owner of your team"));
    }
}
