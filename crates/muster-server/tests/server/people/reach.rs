//! What one permission reaches of what another protects: a token with the one alone does not get there.

use serde_json::{Value, json};

use crate::people::scene::{Person, admin, audited, team};
use crate::world::{Machine, World, both};

fn provider(team_id: &str, role: &str) -> Value {
    json!({
        "issuer": "https://login.example",
        "client_id": "muster",
        "client_secret": "canary-of-a-provider",
        "mappings": [{ "group": "everybody", "team_id": team_id, "role": role }],
    })
}

/// A host of the owner's team, with a secret or without.
async fn host(world: &World, owner: &Person, name: &str, secrets: Value) -> String {
    let token = owner.must(world, "POST", "/v1/enrolment-tokens", Some(json!({ "secrets": secrets }))).await;
    let joined = Machine::new(name).join(world, token["token"].as_str().unwrap()).await;
    joined.host_id.to_string()
}

both! {
    /// Whoever sets a mapping invites everybody in a group: no more than they could invite one by one.
    async fn a_mapping_makes_nobody_whom_its_maker_could_not_invite(world) {
        let root = admin(&world).await;
        let platform = root.must(&world, "GET", "/v1/me", None).await["team_id"].as_str().unwrap().to_owned();
        let ops = team(&world, "ops").await;
        let stolen = root.with_scopes(&world, &["manage_installation"]).await;
        let path = "/v1/oidc/providers/x";
        for (team_id, role) in [(&platform, "admin"), (&ops.id, "owner"), (&ops.id, "operator"), (&platform, "viewer")] {
            let body = provider(team_id, role);
            stolen.ask(&world, "PUT", path, Some(body)).await.problem(403, "beyond_reach");
        }
        assert_eq!(root.must(&world, "GET", "/v1/oidc/providers", None).await["items"], json!([]));
        let mut nobody = provider(&platform, "admin");
        nobody["mappings"] = json!([]);
        stolen.must(&world, "PUT", path, Some(nobody)).await;
        // Nor does it lead the people of a mapping that stands elsewhere.
        root.must(&world, "PUT", path, Some(provider(&platform, "admin"))).await;
        let mut moved = provider(&platform, "admin");
        moved["issuer"] = json!("https://evil.example");
        stolen.ask(&world, "PUT", path, Some(moved)).await.problem(403, "beyond_reach");
    }

    async fn who_sets_who_hears_of_events_may_hear_of_them(world) {
        let ops = team(&world, "ops").await;
        let body = json!({ "name": "siem", "target": { "webhook": { "url": "https://siem.example/" } } });
        let blind = ops.owner.with_scopes(&world, &["manage_endpoints"]).await;
        blind.ask(&world, "POST", "/v1/endpoints", Some(body.clone())).await.problem(403, "forbidden");
        let sees = ops.owner.with_scopes(&world, &["manage_endpoints", "read_events"]).await;
        let made = sees.must(&world, "POST", "/v1/endpoints", Some(body)).await;
        let path = format!("/v1/endpoints/{}", made["endpoint"]["id"].as_str().unwrap());
        let change = json!({ "name": "mine", "target": { "webhook": { "url": "https://evil.example/" } } });
        blind.ask(&world, "PUT", &path, Some(change.clone())).await.problem(403, "forbidden");
        assert_eq!(sees.must(&world, "PUT", &path, Some(change)).await["name"], "mine");
    }

    async fn what_a_token_carries_is_set_by_who_may_set_secrets(world) {
        let ops = team(&world, "ops").await;
        let carries = json!({ "secrets": { "repo": { "url": "rest:https://evil.example/", "password": "p" } } });
        let mint = ops.owner.with_scopes(&world, &["mint_tokens"]).await;
        mint.ask(&world, "POST", "/v1/enrolment-tokens", Some(carries.clone())).await.problem(403, "forbidden");
        assert_eq!(mint.ask(&world, "POST", "/v1/enrolment-tokens", Some(json!({}))).await.status, 201);
        let both = ops.owner.with_scopes(&world, &["mint_tokens", "manage_secrets"]).await;
        assert_eq!(both.ask(&world, "POST", "/v1/enrolment-tokens", Some(carries)).await.status, 201);
    }

    /// Whoever has a key of a host receives its secrets.
    async fn a_key_of_a_host_with_secrets_is_made_by_who_may_manage_them(world) {
        let ops = team(&world, "ops").await;
        let secret = json!({ "repo": { "url": "rest:https://backup.example/", "password": "p" } });
        let full = host(&world, &ops.owner, "full", secret).await;
        let empty = host(&world, &ops.owner, "empty", json!({})).await;
        let hosts = ops.owner.with_scopes(&world, &["manage_hosts"]).await;
        let both = ops.owner.with_scopes(&world, &["manage_hosts", "manage_secrets"]).await;
        let rejoin = async |by: &Person, host: &str| {
            let path = format!("/v1/hosts/{host}/registration-token");
            by.ask(&world, "POST", &path, Some(json!({ "rejoin": true }))).await
        };
        rejoin(&hosts, &full).await.problem(403, "forbidden");
        assert_eq!(rejoin(&both, &full).await.status, 201);
        assert_eq!(rejoin(&hosts, &empty).await.status, 201);
        let key = async |by: &Person, host: &str| {
            by.ask(&world, "POST", &format!("/v1/hosts/{host}/agent-keys"), Some(json!({}))).await
        };
        key(&hosts, &full).await.problem(403, "forbidden");
        key(&both, &full).await.problem(409, "host_has_key_pair");
        key(&hosts, &empty).await.problem(409, "host_has_key_pair");
    }

    /// Whoever decides a claim of a machine of their own lets its key have what they may not have themselves.
    async fn b16_secrets_go_along_with_a_replace_by_who_may_manage_them_only(world) {
        let ops = team(&world, "ops").await;
        let operator = crate::people::scene::join(&world, &ops.owner, "operator", "operator").await;
        let scoped = ops.owner.with_scopes(&world, &["decide_claims", "manage_hosts"]).await;
        let annex = ops.owner.must(&world, "POST", "/v1/sites", Some(json!({ "name": "annex" }))).await;
        let secret = json!({ "api": { "key": "k" } });
        // Another machine at the same site, and one at another.
        for (name, verdict, site) in [("pc", "replace", Value::Null), ("box", "move", annex["id"].clone())] {
            let host_id = host(&world, &ops.owner, name, secret.clone()).await;
            let site_id = match site {
                Value::Null => ops.owner.must(&world, "GET", &format!("/v1/hosts/{host_id}"), None).await["site_id"].clone(),
                site => site,
            };
            let body = json!({ "site_id": site_id });
            let key = ops.owner.must(&world, "POST", "/v1/site-keys", Some(body)).await;
            let machine = Machine::new(name);
            machine.enroll(&world, key["token"].as_str().unwrap()).await;
            let waiting = ops.owner.must(&world, "GET", &format!("/v1/claims?state=waiting&host_id={host_id}"), None).await;
            let claim = &waiting["items"][0];
            let path = format!("/v1/claims/{}/decision", claim["id"].as_str().unwrap());
            let with = |with_secrets: bool| {
                json!({ "verdict": verdict, "evidence_version": claim["evidence_version"], "with_secrets": with_secrets })
            };
            for by in [&operator, &scoped] {
                by.ask(&world, "POST", &path, Some(with(true))).await.problem(403, "forbidden");
            }
            let secrets = format!("/v1/hosts/{host_id}/secrets");
            let kept = ops.owner.must(&world, "GET", &secrets, None).await;
            assert_eq!(kept["items"].as_array().unwrap().len(), 1, "{kept}");
            assert_eq!(operator.must(&world, "POST", &path, Some(with(false))).await["result_host_id"], json!(host_id));
            let kept = ops.owner.must(&world, "GET", &secrets, None).await;
            assert_eq!(kept["items"], json!([]), "without them they are destroyed");
        }
        // Where there are none, nothing is reached.
        let empty = host(&world, &ops.owner, "empty", json!({})).await;
        let token = ops.owner.must(&world, "POST", "/v1/enrolment-tokens", Some(json!({}))).await;
        let answer = Machine::new("empty").enroll(&world, token["token"].as_str().unwrap()).await;
        let claim = ops.owner.must(&world, "GET", &format!("/v1/claims/{}", answer.text("claim_id")), None).await;
        let decision =
            json!({ "verdict": "replace", "evidence_version": claim["evidence_version"], "with_secrets": true });
        let path = format!("/v1/claims/{}/decision", claim["id"].as_str().unwrap());
        assert_eq!(operator.must(&world, "POST", &path, Some(decision)).await["result_host_id"], json!(empty));
    }

    async fn how_long_the_audit_trail_is_kept_is_set_by_who_manages_it(world) {
        let root = admin(&world).await;
        let stolen = root.with_scopes(&world, &["manage_installation"]).await;
        let keep = json!({ "audit_keep_days": 90 });
        stolen.ask(&world, "PUT", "/v1/settings", Some(keep.clone())).await.problem(403, "forbidden");
        let both = root.with_scopes(&world, &["manage_installation", "manage_audit"]).await;
        both.must(&world, "PUT", "/v1/settings", Some(keep.clone())).await;
        stolen.must(&world, "PUT", "/v1/settings", Some(keep)).await;
        assert_eq!(audited(&world, &root, "setting.changed").await.len(), 1);
    }

    /// Their token lasts for ever: it must not come of one that does not.
    async fn a_token_that_lapses_makes_no_owner_that_does_not(world) {
        let root = admin(&world).await;
        let ops = team(&world, "ops").await;
        let path = format!("/v1/teams/{}/owners", ops.id);
        let body = json!({ "name": "stolen", "expires_in_secs": 3600 });
        let minted = root.must(&world, "POST", "/v1/me/tokens", Some(body)).await;
        let short = Person::with(minted["token"].as_str().unwrap());
        let refused = short.ask(&world, "POST", &path, Some(json!({ "name": "x" }))).await;
        refused.problem(403, "limited_token");
        assert_eq!(root.ask(&world, "POST", &path, Some(json!({ "name": "x" }))).await.status, 201);
    }

    async fn who_has_no_second_factor_is_shown_to_who_manages_people(world) {
        let ops = team(&world, "ops").await;
        let viewer = crate::people::scene::join(&world, &ops.owner, "viewer", "viewer").await;
        let scoped = ops.owner.with_scopes(&world, &["see_people"]).await;
        for (by, expected) in [(&ops.owner, json!(false)), (&viewer, Value::Null), (&scoped, Value::Null)] {
            let listed = by.must(&world, "GET", "/v1/people", None).await;
            assert_eq!(listed["items"][0]["has_second_factor"], expected);
            let shown = by.must(&world, "GET", &format!("/v1/people/{}", ops.owner.id), None).await;
            assert_eq!(shown["has_second_factor"], expected);
        }
    }
}
