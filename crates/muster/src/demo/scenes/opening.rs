//! First admin, team, site, site key.

use std::fs;

use anyhow::Context;
use muster_edge::Entropy;
use muster_server::serve::SETUP_CODE_FILE;
use muster_wire::people::{MintedToken, SetupStatus, Team};
use muster_wire::site::Site;
use muster_wire::ticket::MintedTicket;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::demo::report::Report;
use crate::demo::stage::Stage;

pub(super) async fn play(stage: &mut Stage, report: &mut Report) -> anyhow::Result<()> {
    let open = stage.client(None);
    let status: SetupStatus = open.get("/v1/setup").await?;
    let token_file = stage.data_dir.join("demo").join("admin-token");
    let admin_token = if status.configured {
        let saved = fs::read_to_string(&token_file).with_context(|| {
            format!("the server is set up, and {} is gone: use another --data-dir", token_file.display())
        })?;
        report.detail("the first admin exists since an earlier demo; going on as them");
        saved
    } else {
        let code = fs::read_to_string(stage.data_dir.join(SETUP_CODE_FILE))
            .context("the server left no setup code")?;
        let urls = [format!("https://127.0.0.1:{}", stage.machines.port())];
        let body = json!({ "code": code.trim(), "admin_name": "demo admin", "public_urls": urls });
        let admin: MintedToken = report
            .step("first admin made with the one-time setup code", async {
                Ok(open.post("/v1/setup", &body).await?)
            })
            .await?;
        stage.write_private(&token_file, &admin.token)?;
        admin.token
    };
    let admin = stage.client(Some(SecretString::from(admin_token)));
    let suffix = Entropy.public_id();
    let team: Team = report
        .step("team made", async {
            Ok(admin.post("/v1/teams", &json!({ "name": format!("demo {suffix}") })).await?)
        })
        .await?;
    let owner: MintedToken = report
        .step("team owner made, with an API token", async {
            Ok(admin.post(&format!("/v1/teams/{}/owners", team.id), &json!({ "name": "demo owner" })).await?)
        })
        .await?;
    let (login, password) = (format!("demo-{}", suffix.to_string().to_lowercase()), password());
    let its_own = stage.client(Some(SecretString::from(owner.token.clone())));
    report
        .step("the owner takes a login for the dashboard", async {
            its_own.put::<_, Value>("/v1/me/login", &json!({ "login": login })).await?;
            Ok(its_own.put::<_, Value>("/v1/me/password", &json!({ "new": password })).await?)
        })
        .await?;
    stage.write_private(&stage.sign_in_file(), &format!("{login}\n{password}\n"))?;
    let context = format!("url = \"{}\"\ntoken = \"{}\"\n", stage.base, owner.token);
    stage.write_private(&stage.context_file(), &context)?;
    let operator = stage.client(Some(SecretString::from(owner.token)));
    let site: Site = report
        .step("site made", async { Ok(operator.post("/v1/sites", &json!({ "name": "workshop" })).await?) })
        .await?;
    let key: MintedTicket = report
        .step("site key minted", async {
            Ok(operator.post("/v1/site-keys", &json!({ "site_id": site.id })).await?)
        })
        .await?;
    stage.site_id = Some(site.id);
    stage.site_key = Some(key);
    stage.operator = Some(operator);
    Ok(())
}

/// Makes a password nobody has to remember: about 140 bits.
fn password() -> String {
    format!("{}{}", Entropy.public_id(), Entropy.public_id())
}
