//! `/settings/providers`: the providers people sign in with (OpenID Connect).

use askama::Template;
use http::{HeaderMap, StatusCode};
use muster_wire::oidc::{OidcCheck, OidcProvider, OidcRemoved};
use muster_wire::page::Page;
use serde_json::json;

use super::provider_form::FormPage;
use crate::api::segment;
use crate::form::Form;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

pub(super) const PATH: &str = "/v1/oidc/providers";

#[derive(Template)]
#[template(path = "settings_providers.html")]
pub(crate) struct ProvidersPage {
    shell: Shell,
    tab: &'static str,
    providers: Vec<OidcProvider>,
    done: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "settings_provider_check.html")]
pub(crate) struct CheckPage {
    shell: Shell,
    name: String,
    check: OidcCheck,
}

#[derive(Template)]
#[template(path = "settings_provider_remove.html")]
pub(crate) struct RemovePage {
    shell: Shell,
    provider: OidcProvider,
}

/// `GET /settings/providers`
pub(crate) async fn list(visit: Visit) -> Answered {
    let providers = all(&visit).await?;
    let done = match visit.query.text("done") {
        "set" => Some("The provider is set. Check it before you tell people."),
        "removed" => Some("The provider is removed, and who came by it is signed out."),
        "removing" => Some("The provider is removed. Who came by it is signed out within moments."),
        _ => None,
    };
    visit.page(&ProvidersPage { shell: visit.shell("Sign-in providers"), tab: "providers", providers, done })
}

async fn all(visit: &Visit) -> Result<Vec<OidcProvider>, Refusal> {
    Ok(visit.api.get::<Page<OidcProvider>>(PATH).await?.items)
}

async fn one(visit: &Visit, name: &str) -> Result<OidcProvider, Refusal> {
    let found = all(visit).await?.into_iter().find(|provider| provider.name.as_str() == name);
    found.ok_or_else(|| Refusal::of(StatusCode::NOT_FOUND))
}

/// `GET /settings/new-provider`
pub(crate) async fn new(visit: Visit) -> Answered {
    visit.page(&FormPage::new(&visit, None, &FormPage::blank(), None))
}

/// `GET /settings/providers/{name}`
pub(crate) async fn get(visit: Visit, Named(name): Named<String>) -> Answered {
    let provider = one(&visit, &name).await?;
    let form = FormPage::of(&provider);
    visit.page(&FormPage::new(&visit, Some(provider), &form, None))
}

/// `POST /settings/providers`
pub(crate) async fn create(visit: Visit, form: Form) -> Answered {
    put(&visit, form.raw("name").trim(), None, &form).await
}

/// `POST /settings/providers/{name}`
pub(crate) async fn set(visit: Visit, Named(name): Named<String>, form: Form) -> Answered {
    let provider = one(&visit, &name).await?;
    put(&visit, &name, Some(provider), &form).await
}

async fn put(visit: &Visit, name: &str, before: Option<OidcProvider>, form: &Form) -> Answered {
    let path = format!("{PATH}/{}", segment(name));
    match visit.api.put::<OidcProvider>(&path, &super::provider_form::request(form)).await {
        Ok(_) => Ok(see_other("/settings/providers?done=set", &HeaderMap::new())),
        // The name of a new one is in the path: the API does not find what is no name.
        Err(refusal)
            if refusal.is_of_form() || (before.is_none() && refusal.status == StatusCode::NOT_FOUND) =>
        {
            visit.page(&FormPage::new(visit, before, form, Some(refusal)))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `POST /settings/providers/{name}/check`
pub(crate) async fn check(visit: Visit, Named(name): Named<String>, _: Form) -> Answered {
    let path = format!("{PATH}/{}/check", segment(&name));
    let check: OidcCheck = visit.api.post(&path, &json!({})).await?;
    visit.page(&CheckPage { shell: visit.shell(&format!("Check of {name}")), name, check })
}

/// `GET /settings/providers/{name}/remove`
pub(crate) async fn preview(visit: Visit, Named(name): Named<String>) -> Answered {
    let provider = one(&visit, &name).await?;
    visit.page(&RemovePage { shell: visit.shell(&format!("Remove {name}")), provider })
}

/// `POST /settings/providers/{name}/remove`
pub(crate) async fn remove(visit: Visit, Named(name): Named<String>, _: Form) -> Answered {
    let path = format!("{PATH}/{}/remove", segment(&name));
    let removed: OidcRemoved = visit.api.post(&path, &json!({})).await?;
    let done = if removed.more_follow { "removing" } else { "removed" };
    Ok(see_other(&format!("/settings/providers?done={done}"), &HeaderMap::new()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::samples::{self, HOSTILE, TEAM, ago, of};

    pub(in crate::pages::settings) fn provider() -> OidcProvider {
        of(json!({
            "name": "corp", "issuer": "https://login.example/realms/corp", "client_id": HOSTILE,
            "scopes": ["profile", "groups"], "groups_claim": "groups",
            "mappings": [{ "group": HOSTILE, "team_id": TEAM, "role": "operator" }], "allowed": true,
            "redirect_uris": ["https://muster.example:8643/v1/oidc/callback"],
            "created_at": ago(900_000), "updated_at": ago(4_000),
        }))
    }

    fn shell() -> Shell {
        Shell::sample("Sign-in providers", "/settings/providers")
    }

    #[test]
    fn the_providers() {
        let page = |providers| ProvidersPage { shell: shell(), tab: "providers", providers, done: None };
        samples::check("settings_providers", &page(vec![provider()]));
        let html = page(Vec::new()).render().unwrap();
        assert!(html.contains("/settings/new-provider") && html.contains("nobody signs in by a provider"));
        samples::check("settings_provider_remove", &RemovePage { shell: shell(), provider: provider() });
    }

    #[test]
    fn what_stands_in_the_way_is_said() {
        let check = of(json!({
            "works": false,
            "findings": [{ "ok": true, "says": "the keys can be read" }, { "ok": false, "says": HOSTILE }],
        }));
        let page = CheckPage { shell: shell(), name: "corp".to_owned(), check };
        samples::check("settings_provider_check", &page);
    }
}
