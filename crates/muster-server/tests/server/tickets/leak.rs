//! *This key leaked*: what it admitted is shown, then suspended; nothing more, and nothing else than was seen.

use std::time::Duration;

use muster_ids::{HostId, KeyName, KeyThumbprint, SiteId, TeamId, TicketId};
use muster_server::unit::Author;
use muster_server::{enrol, reconcile};
use muster_store::rows::{HostKeyRow, HostRow, KeyState};
use muster_store::{Priority, StoreError, Tx, params};
use muster_wire::host::{HostKind, HostState};
use muster_wire::leak::ReportLeak;
use serde_json::{Value, json};

use crate::door::scene::{Answer, Machine, Person, Scene, scenes, token_and_id};

async fn preview(person: &Person, id: &str, body: Value) -> Answer {
    person.post(&format!("/v1/tickets/{id}/leak/preview"), &body).await
}

async fn report(person: &Person, id: &str, body: Value) -> Answer {
    person.post(&format!("/v1/tickets/{id}/leak"), &body).await
}

/// Stores so many active hosts that a ticket admitted, each with a key of its own.
async fn admitted_before(scene: &Scene, ticket: &str, count: u32) {
    let ticket: TicketId = ticket.parse().unwrap();
    let now = scene.app.clock.now();
    for first in (0..count).step_by(200) {
        let rows = first..count.min(first + 200);
        let insert = move |tx: &mut Tx<'_>| {
            let (team_id, site_id): (TeamId, SiteId) =
                tx.query_one("SELECT team_id, site_id FROM ticket WHERE id = $1", params![ticket], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            for n in rows.clone() {
                let mut digest = [0; 32];
                digest[..4].copy_from_slice(&n.to_be_bytes());
                digest[31] = 1;
                let id = HostId::from_uuid(uuid::Uuid::from_u128((7 << 76) + u128::from(n)));
                tx.host_insert(&HostRow {
                    id,
                    team_id,
                    site_id,
                    kind: HostKind::Shared,
                    name: format!("h{n}"),
                    state: HostState::Active,
                    provider: None,
                    zone: None,
                    arrival: None,
                    created_at: now,
                    enrolled_at: Some(now),
                    retired_at: None,
                    ephemeral_hours: None,
                })?;
                tx.host_rows_insert(id, 1)?;
                tx.host_key_insert(&HostKeyRow {
                    name: KeyName::Pair(KeyThumbprint::from_digest(digest)),
                    team_id,
                    host_id: id,
                    material: vec![4; 65],
                    state: KeyState::Active,
                    ticket_id: Some(ticket),
                    created_at: now,
                    ended_at: None,
                    ended_by: None,
                    created_by: None,
                    first_used_at: None,
                    last_used_at: None,
                })?;
            }
            Ok::<_, StoreError>(())
        };
        scene.app.store.write(Priority::Normal, insert).await.unwrap();
    }
}

async fn active(scene: &Scene) -> i64 {
    let sql = "SELECT count(*) FROM host WHERE state = 'active'";
    scene.app.look(move |tx| tx.query_one(sql, params![], |row| row.get(0))).await.unwrap()
}

scenes! {
    async fn a_leaked_key_is_revoked_and_what_it_admitted_since_is_suspended(scene) {
        let site = scene.admin.default_site().await;
        let (token, id) = scene.admin.site_key(&site).await;
        let (other, _) = scene.admin.site_key(&site).await;
        let early = Machine::new("early").admitted(&scene, &token, 201).await;
        scene.clock.advance(Duration::from_secs(3600));
        let since = scene.app.clock.now().to_string();
        let late = Machine::new("late");
        let late_id = late.admitted(&scene, &token, 201).await;
        let bystander = Machine::new("bystander").admitted(&scene, &other, 201).await;
        let secret = json!({ "url": "rest:https://backup.example/", "password": "p" });
        scene.admin.put(&format!("/v1/hosts/{late_id}/secrets/repo"), &json!({ "document": secret })).await;
        late.twin().waits(&scene, &token, "collision").await;
        let all = preview(&scene.admin, &id, json!({})).await.expect(200);
        assert_eq!((&all["admitted"], &all["active"], &all["waiting_claims"]), (&json!(2), &json!(2), &json!(1)));
        let seen = preview(&scene.admin, &id, json!({ "since": since })).await.expect(200);
        assert_eq!((&seen["active"], &seen["hosts"]["items"][0]["host_id"]), (&json!(1), &json!(late_id)));
        let body = json!({ "since": since, "preview": seen["preview"], "suspend": true });
        let done = report(&scene.admin, &id, body.clone()).await.expect(200);
        assert_eq!((&done["suspended"], &done["remaining"], &done["ticket"]["status"]), (&json!(1), &json!(0), &json!("revoked")));
        let mut states = Vec::new();
        for host in [&early, &late_id, &bystander] {
            states.push(scene.admin.host(host).await["state"].clone());
        }
        assert_eq!(states, ["active", "suspended", "active"]);
        late.enroll(&scene, &token).await.refused(403, "host_suspended");
        Machine::new("thief").enroll(&scene, &token).await.refused(401, "enrollment_rejected");
        assert_eq!(scene.admin.get("/v1/claims?state=waiting").await.expect(200)["items"], json!([]));
        assert_eq!(scene.events("ticket.leaked").await, std::slice::from_ref(&id));
        assert_eq!(scene.events("host.suspended").await, [late_id]);
        report(&scene.admin, &id, body).await.refused(409, "preview_stale");
    }

    async fn what_changed_since_it_was_seen_is_not_touched(scene) {
        let site = scene.admin.default_site().await;
        let (token, id) = scene.admin.site_key(&site).await;
        let host = Machine::new("a").admitted(&scene, &token, 201).await;
        let seen = preview(&scene.admin, &id, json!({})).await.expect(200);
        Machine::new("b").admitted(&scene, &token, 201).await;
        let body = json!({ "preview": seen["preview"], "suspend": true });
        report(&scene.admin, &id, body).await.refused(409, "preview_stale");
        assert_eq!(scene.admin.host(&host).await["state"], "active");
        let shown = scene.admin.get(&format!("/v1/tickets/{id}")).await.expect(200);
        assert_eq!(shown["status"], "revoked", "it leaked, whatever becomes of its hosts");
        let seen = preview(&scene.admin, &id, json!({})).await.expect(200);
        scene.admin.step(&format!("/v1/hosts/{host}/suspend")).await.expect(200);
        let body = json!({ "preview": seen["preview"], "suspend": true });
        report(&scene.admin, &id, body).await.refused(409, "preview_stale");
        let seen = preview(&scene.admin, &id, json!({})).await.expect(200);
        let keep = json!({ "preview": seen["preview"], "suspend": false });
        let done = report(&scene.admin, &id, keep).await.expect(200);
        assert_eq!((&done["suspended"], active(&scene).await), (&json!(0), 1));
    }

    async fn a_host_is_shown_with_what_its_key_has_read(scene) {
        let secrets = json!({ "repo": { "url": "rest:https://backup.example/", "password": "p" } });
        let (token, id) = scene.admin.enrolment_token(json!({ "secrets": secrets })).await;
        let host = Machine::new("m").admitted(&scene, &token, 201).await;
        let seen = preview(&scene.admin, &id, json!({})).await.expect(200);
        let shown = &seen["hosts"]["items"][0];
        assert_eq!((&shown["host_id"], &shown["secrets"], &shown["state"]), (&json!(host), &json!(["repo"]), &json!("active")));
        assert!(shown["key"].as_str().unwrap().starts_with("jkt:"));
    }

    async fn many_hosts_are_suspended_in_chunks_that_a_restart_does_not_lose(scene) {
        const HOSTS: u32 = 1203;
        let site = scene.admin.default_site().await;
        let (_, id) = scene.admin.site_key(&site).await;
        admitted_before(&scene, &id, HOSTS).await;
        let seen = preview(&scene.admin, &id, json!({ "limit": 200 })).await.expect(200);
        assert_eq!((&seen["active"], seen["hosts"]["items"].as_array().unwrap().len()), (&json!(HOSTS), 200));
        let mut named = 200;
        let mut cursor = seen["hosts"]["next_cursor"].clone();
        while !cursor.is_null() {
            let page = preview(&scene.admin, &id, json!({ "limit": 200, "cursor": cursor })).await.expect(200);
            named += page["hosts"]["items"].as_array().unwrap().len();
            cursor = page["hosts"]["next_cursor"].clone();
        }
        assert_eq!(named, HOSTS as usize);
        // The server ends right after the transaction of the report: nothing of it is in memory.
        let ticket_id: TicketId = id.parse().unwrap();
        let text = seen["preview"].as_str().unwrap().parse().unwrap();
        let asked = ReportLeak { since: None, preview: text, suspend: true };
        let author = Author::system();
        scene.admin.post(&format!("/v1/tickets/{id}/revoke"), &json!({})).await.expect(200);
        let done = scene.app.change(Priority::Urgent, scene.app.clock.now(), move |unit| {
            let team_id = unit.tx.ticket_by_id(&ticket_id)?.unwrap().ticket.team_id;
            let seen = enrol::leak::Admitted::load(unit.tx, team_id, &ticket_id, None)?;
            enrol::leak::begin(unit, team_id, &ticket_id, &asked, &seen, &author)
        });
        let done = done.await.unwrap();
        assert_eq!(done.suspended + done.remaining, u64::from(HOSTS));
        assert!(done.suspended >= 100 && active(&scene).await as u64 == done.remaining);
        let shown = scene.admin.get(&format!("/v1/tickets/{id}")).await.expect(200);
        assert_eq!(shown["status"], "revoked");
        // Whoever was let go on meanwhile by a person is not suspended again.
        let first = preview(&scene.admin, &id, json!({ "limit": 1 })).await.expect(200);
        let resumed = first["hosts"]["items"][0]["host_id"].as_str().unwrap().to_owned();
        scene.admin.step(&format!("/v1/hosts/{resumed}/resume")).await.expect(200);
        let mut rounds = 0;
        while reconcile::suspend_leaked(&scene.app).await.unwrap() {
            rounds += 1;
            assert!(rounds < 20, "it ends");
        }
        assert_eq!(active(&scene).await, 1);
        assert_eq!(scene.admin.host(&resumed).await["state"], "active");
        assert!(!reconcile::suspend_leaked(&scene.app).await.unwrap(), "nothing is left");
        assert_eq!(scene.events("host.suspended").await.len(), HOSTS as usize);
    }

    async fn hosts_of_several_chunks_are_suspended_before_the_reply(scene) {
        let site = scene.admin.default_site().await;
        let (_, id) = scene.admin.site_key(&site).await;
        admitted_before(&scene, &id, 420).await;
        let seen = preview(&scene.admin, &id, json!({})).await.expect(200);
        let body = json!({ "preview": seen["preview"], "suspend": true });
        let done = report(&scene.admin, &id, body).await.expect(200);
        assert_eq!((&done["suspended"], &done["remaining"]), (&json!(420), &json!(0)));
        assert_eq!(active(&scene).await, 0);
        assert!(!reconcile::suspend_leaked(&scene.app).await.unwrap());
    }

    async fn a_foreign_ticket_is_absent(scene) {
        let site = scene.admin.default_site().await;
        let (token, id) = scene.admin.site_key(&site).await;
        Machine::new("m").admitted(&scene, &token, 201).await;
        let olga = scene.owner("one").await;
        let absent = preview(&olga, "0aB1cD2eF3gH", json!({})).await;
        absent.refused(404, "not_found");
        assert_eq!(preview(&olga, &id, json!({})).await.body_without_request_id(), absent.body_without_request_id());
        let body = json!({ "preview": "x", "suspend": true });
        assert_eq!(report(&olga, &id, body).await.body_without_request_id(), absent.body_without_request_id());
        let (_, rotated) = token_and_id(&scene.admin.post(&format!("/v1/site-keys/{id}/rotate"), &json!({})).await.expect(201));
        let seen = preview(&scene.admin, &id, json!({})).await.expect(200);
        report(&scene.admin, &id, json!({ "preview": seen["preview"], "suspend": true })).await.expect(200);
        let shown = scene.admin.get(&format!("/v1/tickets/{rotated}")).await.expect(200);
        assert_eq!(shown["status"], "open", "its successor has a secret of its own");
    }
}
