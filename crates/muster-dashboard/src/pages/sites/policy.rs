//! `/sites/add` and `/sites/{site_id}/policy`: how a site admits machines, field by field.

use askama::Template;
use http::HeaderMap;
use muster_ids::SiteId;
use muster_wire::site::{NewPolicy, OnClone, ReimagePolicy, Site, SitePolicy};
use serde_json::{Value, json};

use crate::form::Form;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::joining;

/// Seconds of silence that a person may choose.
const SILENCES: &[u64] = &[3_600, 21_600, 86_400, 604_800, 2_592_000];

#[derive(Template)]
#[template(path = "sites_policy.html")]
pub(crate) struct PolicyPage {
    shell: Shell,
    /// The site whose policy it is; none: a site that is not made yet.
    site: Option<Site>,
    typed: Typed,
    refusal: Option<Refusal>,
}

/// A policy as it stands in the form.
#[derive(Debug, Clone)]
struct Typed {
    name: String,
    new: String,
    reimage: String,
    reimage_after_secs: String,
    surge: String,
    require_key: bool,
    on_clone: String,
}

/// `GET /sites/add`
pub(crate) async fn add(visit: Visit) -> Answered {
    let shell = visit.shell("Make a site");
    let typed = Typed::of_policy(&SitePolicy::default());
    visit.page(&PolicyPage { shell, site: None, typed, refusal: None })
}

/// `POST /sites/add`
pub(crate) async fn create(visit: Visit, form: Form) -> Answered {
    let typed = Typed::of_form(&form);
    let request = json!({ "name": typed.name, "policy": policy(&form) });
    match visit.api.post::<Site>("/v1/sites", &request).await {
        Ok(site) => Ok(see_other(&format!("/sites/{}", site.id), &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => {
            let shell = visit.shell("Make a site");
            visit.page(&PolicyPage { shell, site: None, typed, refusal: Some(refusal) })
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `GET /sites/{site_id}/policy`
pub(crate) async fn get(visit: Visit, Named(id): Named<SiteId>) -> Answered {
    let site: Site = visit.api.get(&format!("/v1/sites/{id}")).await?;
    let typed = Typed::of_policy(&site.policy);
    visit.page(&PolicyPage { shell: visit.shell("Rules of a site"), site: Some(site), typed, refusal: None })
}

/// `POST /sites/{site_id}/policy`
pub(crate) async fn set(visit: Visit, Named(id): Named<SiteId>, form: Form) -> Answered {
    let request = json!({ "policy": policy(&form) });
    match visit.api.put::<Site>(&format!("/v1/sites/{id}/policy"), &request).await {
        Ok(_) => Ok(see_other(&format!("/sites/{id}"), &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => {
            let site: Result<Site, Refusal> = visit.api.get(&format!("/v1/sites/{id}")).await;
            let site = Some(site?);
            let (shell, typed) = (visit.shell("Rules of a site"), Typed::of_form(&form));
            visit.page(&PolicyPage { shell, site, typed, refusal: Some(refusal) })
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Makes the policy of a request; a field that is not there takes its default.
fn policy(form: &Form) -> Value {
    let mut policy = json!({ "require_key": form.is_ticked("require_key") });
    for name in ["new", "reimage", "on_clone"] {
        if let Some(chosen) = form.text(name) {
            policy[name] = chosen.into();
        }
    }
    for name in ["surge", "reimage_after_secs"] {
        if let Some(number) = form.number(name) {
            policy[name] = number;
        }
    }
    policy
}

impl Typed {
    fn of_policy(policy: &SitePolicy) -> Self {
        let new = match policy.new {
            NewPolicy::Auto => "auto",
            NewPolicy::Approve => "approve",
        };
        let reimage = match policy.reimage {
            ReimagePolicy::Approve => "approve",
            ReimagePolicy::Auto => "auto",
        };
        let on_clone = match policy.on_clone {
            OnClone::Hold => "hold",
            OnClone::Suspend => "suspend",
        };
        Self {
            name: String::new(),
            new: new.to_owned(),
            reimage: reimage.to_owned(),
            reimage_after_secs: policy.reimage_after_secs.get().to_string(),
            surge: policy.surge.get().to_string(),
            require_key: policy.require_key,
            on_clone: on_clone.to_owned(),
        }
    }

    fn of_form(form: &Form) -> Self {
        Self {
            name: form.raw("name").trim().to_owned(),
            new: form.raw("new").to_owned(),
            reimage: form.raw("reimage").to_owned(),
            reimage_after_secs: form.raw("reimage_after_secs").to_owned(),
            surge: form.raw("surge").to_owned(),
            require_key: form.is_ticked("require_key"),
            on_clone: form.raw("on_clone").to_owned(),
        }
    }
}

impl PolicyPage {
    fn action(&self) -> String {
        self.site
            .as_ref()
            .map_or_else(|| "/sites/add".to_owned(), |site| format!("/sites/{}/policy", site.id))
    }

    /// The silences to choose from, with the one that stands, whoever set it.
    fn silences(&self) -> Vec<(String, String)> {
        let stands = self.typed.reimage_after_secs.parse::<u64>().ok();
        let mut all: Vec<u64> = SILENCES.iter().copied().chain(stands).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter().map(|secs| (secs.to_string(), joining::life(secs))).collect()
    }

    fn error(&self, pointer: &str) -> Option<String> {
        self.refusal.as_ref()?.of_field(pointer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    impl PolicyPage {
        pub(crate) fn sample() -> Self {
            let mut site = samples::site();
            site.name = samples::HOSTILE.to_owned();
            site.policy.reimage_after_secs = muster_wire::bounds::Whole::clamped(90);
            let typed = Typed::of_policy(&site.policy);
            Self { shell: Shell::sample("Rules of a site", "/sites"), site: Some(site), typed, refusal: None }
        }
    }

    #[test]
    fn the_rules_of_a_site() {
        samples::check("sites_policy", &PolicyPage::sample());
    }

    #[test]
    fn the_form_of_a_new_site() {
        let typed = Typed::of_policy(&SitePolicy::default());
        samples::check("sites_add", &PolicyPage { site: None, typed, ..PolicyPage::sample() });
    }

    #[test]
    fn what_is_not_ticked_is_off_and_a_silence_nobody_offers_stays() {
        let form = Form::of(&[("new", "approve"), ("surge", "20"), ("reimage_after_secs", "90")]);
        let expected =
            json!({ "new": "approve", "surge": 20, "reimage_after_secs": 90, "require_key": false });
        assert_eq!(policy(&form), expected);
        assert!(PolicyPage::sample().silences().iter().any(|(_, says)| says == "90 seconds"));
    }
}
