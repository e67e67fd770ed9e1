//! `/v1/claims`: a copy or a re-image never touches the host that owns the identity.

use std::time::Duration;

use muster_domain::presence::AWAY_ABOVE;
use muster_server::presence::Sign;
use serde_json::json;

use crate::door::scene::{Machine, scenes};

/// Below what counts as a break.
const ROUND: Duration = AWAY_ABOVE.saturating_sub(Duration::from_secs(1));

scenes! {
    async fn b16_a_copy_waits_and_the_host_stays_byte_identical(server) {
        let site = server.admin.default_site().await;
        let (token, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        let host_id = machine.admitted(&server, &token, 201).await;
        let path = format!("/v1/hosts/{host_id}");
        let before = server.admin.get(&path).await.raw_body.clone();
        let copy = machine.twin();
        let claim_id = copy.waits(&server, &token, "collision").await;
        let mut bolder = copy.request();
        bolder["hostname"] = "owned".into();
        let again = copy.enroll_with(&server, &token, &bolder).await.expect(202);
        assert_eq!(again["claim_id"], claim_id.as_str());
        assert!(!again.to_string().contains(&host_id), "no reply names the contested host");
        assert_eq!(server.admin.get(&path).await.raw_body, before);
        let claim = server.admin.claim(&claim_id).await;
        assert_eq!(claim["contested"]["id"], host_id.as_str());
        assert_eq!(claim["machine"]["hostname"], "pc");
        assert_eq!(claim["verdicts"], json!(["replace", "new", "reject"]));
        let listed = server.admin.get("/v1/claims?state=waiting").await.expect(200);
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
        assert_eq!(machine.admitted(&server, &token, 200).await, host_id);
    }

    async fn a_claim_approved_as_new_becomes_a_host_of_its_own(server) {
        let site = server.admin.default_site().await;
        let (token, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        let host_id = machine.admitted(&server, &token, 201).await;
        let copy = machine.twin();
        let claim_id = copy.waits(&server, &token, "collision").await;
        let decided = server.admin.decide(&claim_id, "new").await.expect(200);
        assert_eq!(decided["state"], "new");
        let new_id = copy.admitted(&server, &token, 200).await;
        assert_eq!(decided["result_host_id"], new_id.as_str());
        assert_ne!(new_id, host_id);
        assert_eq!(server.admin.host(&new_id).await["reported"]["owns_uid"], false);
        assert_eq!(server.admin.host(&host_id).await["reported"]["owns_uid"], true);
        server.admin.decide(&claim_id, "new").await.refused(409, "claim_not_waiting");
    }

    async fn a_replacement_takes_over_the_host_and_revokes_its_key(server) {
        let site = server.admin.default_site().await;
        let (token, _) = server.admin.site_key(&site).await;
        let secrets = json!({ "secrets": { "api": { "key": "k" } } });
        let (one_time, _) = server.admin.enrolment_token(secrets).await;
        let machine = Machine::new("pc");
        let host_id = machine.admitted(&server, &one_time, 201).await;
        let (with, without) = (machine.twin(), machine.twin());
        let first = with.waits(&server, &token, "collision").await;
        let second = without.waits(&server, &token, "collision").await;
        let seen = server.admin.claim(&first).await;
        assert_eq!(seen["contested"]["secrets"], json!(["api"]));
        let decision = json!({
            "verdict": "replace", "evidence_version": seen["evidence_version"], "with_secrets": true
        });
        let late = server.admin.claim(&second).await;
        let replaced = server.admin.post(&format!("/v1/claims/{first}/decision"), &decision).await.expect(200);
        assert_eq!((&replaced["state"], &replaced["result_host_id"]), (&json!("replaced"), &json!(host_id)));
        let former = machine.enroll(&server, &token).await;
        former.refused(401, "key_revoked");
        assert!(former.body["revoked"].is_string());
        assert_eq!(with.admitted(&server, &token, 200).await, host_id);
        let preview = format!("/v1/hosts/{host_id}/retirement");
        assert_eq!(server.admin.get(&preview).await.expect(200)["secrets"], json!(["api"]));
        // The other claim rests on a key that is no more.
        let stale = json!({ "verdict": "replace", "evidence_version": late["evidence_version"] });
        let path = format!("/v1/claims/{second}/decision");
        server.admin.post(&path, &stale).await.refused(409, "claim_stale");
        server.admin.decide(&second, "replace").await.expect(200);
        assert_eq!(server.admin.get(&preview).await.expect(200)["secrets"], json!([]));
        assert_eq!(without.admitted(&server, &token, 200).await, host_id);
        with.enroll(&server, &token).await.refused(401, "key_revoked");
    }

    /// The uid may go to another host while a claim waits: a replacement takes over the host that was shown.
    async fn b16_a_replacement_never_takes_over_a_host_nobody_saw(server) {
        let site = server.admin.default_site().await;
        let (token, _) = server.admin.site_key(&site).await;
        let mut first = Machine::new("pc");
        let first_id = first.admitted(&server, &token, 201).await;
        let claim_id = first.twin().waits(&server, &token, "collision").await;
        // The first host rejoins with other hardware, which lets its uid go; another machine takes it.
        let path = format!("/v1/hosts/{first_id}/registration-token");
        let minted = server.admin.post(&path, &json!({ "rejoin": true })).await.expect(201);
        let rejoin = minted["token"].as_str().unwrap();
        let second = first.twin();
        first = Machine::new("pc");
        assert_eq!(first.admitted(&server, rejoin, 200).await, first_id);
        let second_id = second.admitted(&server, &token, 201).await;
        let before = server.admin.host(&second_id).await;
        assert_ne!(second_id, first_id);
        let claim = server.admin.claim(&claim_id).await;
        assert_eq!(claim["contested"]["id"], first_id.as_str());
        server.admin.decide(&claim_id, "replace").await.refused(409, "verdict_not_possible");
        assert_eq!(server.admin.host(&second_id).await, before);
    }

    /// Two clones wait for approval: once one of them is a host, the other contests it and the person is told.
    async fn a_claim_shows_the_host_that_came_to_own_its_uid(server) {
        let site = server.admin.site("approve", json!({ "new": "approve" })).await;
        let (token, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        let clone = machine.twin();
        let first = machine.waits(&server, &token, "approval").await;
        let second = clone.waits(&server, &token, "approval").await;
        let seen = server.admin.claim(&second).await;
        assert!(seen["contested"].is_null());
        let host_id = server.admin.decide(&first, "new").await.expect(200)["result_host_id"].clone();
        let decision = json!({ "verdict": "new", "evidence_version": seen["evidence_version"] });
        let path = format!("/v1/claims/{second}/decision");
        server.admin.post(&path, &decision).await.refused(409, "claim_stale");
        assert_eq!(server.admin.claim(&second).await["contested"]["id"], host_id);
    }

    /// A machine that waits at the site's door brings a one-time token: nobody else may spend it meanwhile.
    async fn b30_a_one_time_token_is_reserved_although_its_machine_waits_already(server) {
        let site = server.admin.default_site().await;
        let (site_key, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        machine.admitted(&server, &site_key, 201).await;
        let copy = machine.twin();
        let at_the_door = copy.waits(&server, &site_key, "collision").await;
        let (token, id) = server.admin.enrolment_token(json!({ "secrets": { "api": { "key": "k" } } })).await;
        let with_token = copy.waits(&server, &token, "uid_taken").await;
        assert_ne!(with_token, at_the_door);
        assert_eq!(server.admin.claim(&at_the_door).await["state"], "closed");
        assert_eq!(server.admin.get(&format!("/v1/tickets/{id}")).await.expect(200)["status"], "reserved");
        Machine::new("thief").enroll(&server, &token).await.refused(401, "enrollment_rejected");
        let decided = server.admin.decide(&with_token, "new").await.expect(200);
        let host_id = decided["result_host_id"].as_str().unwrap().to_owned();
        assert_eq!(copy.admitted(&server, &token, 200).await, host_id);
        let preview = server.admin.get(&format!("/v1/hosts/{host_id}/retirement")).await.expect(200);
        assert_eq!(preview["secrets"], json!(["api"]));
    }

    async fn a_rejected_machine_is_told_so_until_it_is_cleared(server) {
        let site = server.admin.default_site().await;
        let (token, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        machine.admitted(&server, &token, 201).await;
        let copy = machine.twin();
        let claim_id = copy.waits(&server, &token, "collision").await;
        server.admin.step(&format!("/v1/claims/{claim_id}/clear")).await.refused(409, "claim_not_rejected");
        assert_eq!(server.admin.decide(&claim_id, "reject").await.expect(200)["state"], "rejected");
        copy.enroll(&server, &token).await.refused(403, "claim_rejected");
        let cleared = server.admin.step(&format!("/v1/claims/{claim_id}/clear")).await.expect(200);
        assert_eq!(cleared["state"], "closed");
        assert_ne!(copy.waits(&server, &token, "collision").await, claim_id);
    }

    async fn a_claim_holds_its_one_time_token_and_its_rejection_burns_it(server) {
        let (first, _) = server.admin.enrolment_token(json!({})).await;
        let machine = Machine::new("pc");
        machine.admitted(&server, &first, 201).await;
        let (token, id) = server.admin.enrolment_token(json!({ "secrets": { "api": { "key": "k" } } })).await;
        let ticket = format!("/v1/tickets/{id}");
        let copy = machine.twin();
        let claim_id = copy.waits(&server, &token, "uid_taken").await;
        assert_eq!(server.admin.get(&ticket).await.expect(200)["status"], "reserved");
        Machine::new("thief").enroll(&server, &token).await.refused(401, "enrollment_rejected");
        server.admin.decide(&claim_id, "reject").await.expect(200);
        let burnt = server.admin.get(&ticket).await.expect(200);
        assert_eq!((&burnt["status"], &burnt["secrets"]), (&json!("revoked"), &json!([])));
        copy.enroll(&server, &token).await.refused(403, "claim_rejected");
        let (token, id) = server.admin.enrolment_token(json!({})).await;
        let other = machine.twin();
        let claim_id = other.waits(&server, &token, "uid_taken").await;
        server.admin.step(&format!("/v1/tickets/{id}/revoke")).await.expect(200);
        assert_eq!(server.admin.claim(&claim_id).await["state"], "closed");
        other.enroll(&server, &token).await.refused(401, "enrollment_rejected");
    }

    async fn b16_a_key_of_another_site_changes_nothing_and_learns_nothing(server) {
        let (here, there) = (server.admin.site("here", json!({})).await, server.admin.site("there", json!({})).await);
        let (token, _) = server.admin.site_key(&here).await;
        let (foreign, _) = server.admin.site_key(&there).await;
        let machine = Machine::new("pc");
        let host_id = machine.admitted(&server, &token, 201).await;
        let before = server.admin.get(&format!("/v1/hosts/{host_id}")).await.raw_body.clone();
        let copy = machine.twin();
        for _ in 0..2 {
            let answer = copy.enroll(&server, &foreign).await;
            answer.refused(409, "site_conflict");
            assert!(!answer.raw_body.contains("host_") && !answer.raw_body.contains("claim_"), "{}", answer.raw_body);
        }
        assert_eq!(server.admin.get(&format!("/v1/hosts/{host_id}")).await.raw_body, before);
        let listed = server.admin.get(&format!("/v1/claims?site_id={there}")).await.expect(200);
        let claim = &listed["items"][0];
        assert_eq!((&claim["reason"], &claim["verdicts"]), (&json!("site_conflict"), &json!(["move", "new", "reject"])));
        let decided = server.admin.decide(claim["id"].as_str().unwrap(), "new").await.expect(200);
        let made = server.admin.host(decided["result_host_id"].as_str().unwrap()).await;
        assert_eq!(made["site_id"], there.as_str());
        assert_eq!(copy.admitted(&server, &foreign, 200).await, made["id"]);
    }

    async fn a_site_that_approves_makes_every_newcomer_wait(server) {
        let site = server.admin.site("careful", json!({ "new": "approve" })).await;
        let (token, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        let claim_id = machine.waits(&server, &token, "approval").await;
        assert_eq!(server.admin.hosts().await.len(), 0);
        server.admin.decide(&claim_id, "replace").await.refused(409, "verdict_not_possible");
        server.admin.decide(&claim_id, "new").await.expect(200);
        machine.admitted(&server, &token, 200).await;
        // A person's own ticket lets in who waits at the site's door, and the claim has no ground any more.
        let other = Machine::new("tv");
        let waiting = other.waits(&server, &token, "approval").await;
        let (one_time, _) = server.admin.enrolment_token(json!({ "site_id": site })).await;
        other.admitted(&server, &one_time, 201).await;
        assert_eq!(server.admin.claim(&waiting).await["state"], "closed");
    }

    async fn a_surge_turns_the_rest_into_claims(server) {
        let site = server.admin.site("small", json!({ "surge": 2 })).await;
        let (token, _) = server.admin.site_key(&site).await;
        for name in ["a", "b"] {
            Machine::new(name).admitted(&server, &token, 201).await;
        }
        for name in ["c", "d"] {
            Machine::new(name).waits(&server, &token, "surge").await;
        }
        assert_eq!(server.events("site.surge").await, [site]);
    }

    async fn b30_a_token_that_replaces_a_host_gives_it_everything_it_carries(server) {
        let site = server.admin.default_site().await;
        let (site_key, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        let host_id = machine.admitted(&server, &site_key, 201).await;
        server.admin.put(&format!("/v1/hosts/{host_id}/tags"), &json!({ "tags": ["old"] })).await.expect(200);
        let request = json!({ "host_name": "Named", "tags": ["new"], "secrets": { "api": { "key": "k" } } });
        let (one_time, _) = server.admin.enrolment_token(request).await;
        let claim_id = machine.twin().waits(&server, &one_time, "uid_taken").await;
        server.admin.decide(&claim_id, "replace").await.expect(200);
        let host = server.admin.host(&host_id).await;
        assert_eq!((&host["name"], &host["tags"]), (&json!("Named"), &json!(["new", "old"])));
        let preview = server.admin.get(&format!("/v1/hosts/{host_id}/retirement")).await.expect(200);
        assert_eq!(preview["secrets"], json!(["api"]));
    }

    async fn a_lapsed_claim_frees_its_ticket_and_its_key(server) {
        let site = server.admin.site("careful", json!({ "new": "approve" })).await;
        let (site_key, _) = server.admin.site_key(&site).await;
        let long = json!({ "expires_in_secs": 2_592_000 });
        let (first, _) = server.admin.enrolment_token(long.clone()).await;
        let (second, _) = server.admin.enrolment_token(long).await;
        let machine = Machine::new("pc");
        machine.admitted(&server, &first, 201).await;
        machine.twin().waits(&server, &second, "uid_taken").await;
        let newcomer = Machine::new("tv");
        let claim_id = newcomer.waits(&server, &site_key, "approval").await;
        server.clock.advance(std::time::Duration::from_secs(7 * 24 * 3600));
        assert_eq!(server.admin.claim(&claim_id).await["state"], "expired");
        server.admin.decide(&claim_id, "new").await.refused(409, "claim_not_waiting");
        Machine::new("other").admitted(&server, &second, 201).await;
        assert_ne!(newcomer.waits(&server, &site_key, "approval").await, claim_id);
    }

    async fn an_invited_host_whose_hardware_is_taken_waits_and_keeps_its_name(server) {
        let site = server.admin.default_site().await;
        let (site_key, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        let owner = machine.admitted(&server, &site_key, 201).await;
        let invited = server.admin.post("/v1/hosts", &json!({ "name": "Named" })).await.expect(201);
        let token = invited["registration"]["token"].as_str().unwrap();
        let copy = machine.twin();
        let claim_id = copy.waits(&server, token, "uid_taken").await;
        let decided = server.admin.decide(&claim_id, "new").await.expect(200);
        assert_eq!(decided["result_host_id"], invited["host"]["id"]);
        let reply = copy.enroll(&server, token).await.expect(200);
        assert_eq!((&reply["disposition"], &reply["replayed"]), (&json!("registered"), &json!(true)));
        let host = server.admin.host(invited["host"]["id"].as_str().unwrap()).await;
        assert_eq!((&host["name"], &host["reported"]["owns_uid"]), (&json!("Named"), &json!(false)));
        assert_eq!(server.admin.host(&owner).await["reported"]["owns_uid"], true);
    }

    async fn a_suspended_host_is_not_replaced(server) {
        let site = server.admin.default_site().await;
        let (site_key, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        let host_id = machine.admitted(&server, &site_key, 201).await;
        let claim_id = machine.twin().waits(&server, &site_key, "collision").await;
        server.admin.step(&format!("/v1/hosts/{host_id}/suspend")).await.expect(200);
        server.admin.decide(&claim_id, "replace").await.refused(409, "not_possible");
        assert_eq!(server.admin.claim(&claim_id).await["state"], "waiting");
    }

    async fn a_site_may_let_a_reimaged_machine_take_over_its_quiet_host(server) {
        let policy = json!({ "reimage": "auto", "reimage_after_secs": 3600 });
        let site = server.admin.site("auto", policy).await;
        let (site_key, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        let host_id = machine.admitted(&server, &site_key, 201).await;
        let with_secret = json!({ "site_id": site, "secrets": { "api": { "key": "k" } } });
        let (one_time, _) = server.admin.enrolment_token(with_secret).await;
        let holder = Machine::new("holder");
        let holder_id = holder.admitted(&server, &one_time, 201).await;
        for (n, id) in [(1, &host_id), (2, &holder_id)] {
            let seen_at = server.app.clock.now();
            let sign = Sign { seq: n, seen_at, said_goodbye: false };
            server.app.presences.heard(id.parse().unwrap(), sign);
        }
        server.clock.advance(Duration::from_secs(2 * 3600));
        let fresh = machine.twin();
        let reply = fresh.enroll(&server, &site_key).await.expect(200);
        assert_eq!((&reply["host_id"], &reply["disposition"]), (&json!(host_id), &json!("rekeyed")));
        machine.enroll(&server, &site_key).await.refused(401, "key_revoked");
        holder.twin().waits(&server, &site_key, "reimage").await;
    }

    /// Who could not be heard while the server was away is not gone: nobody takes their place meanwhile.
    async fn c08_nobody_takes_over_a_host_that_had_no_time_to_come_back_after_a_break(server) {
        let policy = json!({ "reimage": "auto", "reimage_after_secs": 3600 });
        let site = server.admin.site("auto", policy).await;
        let (site_key, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        let host_id = machine.admitted(&server, &site_key, 201).await;
        let sign = Sign { seq: 1, seen_at: server.app.clock.now(), said_goodbye: false };
        server.app.presences.heard(host_id.parse().unwrap(), sign);
        for _ in 0..3 {
            server.app.all_are_back();
            server.clock.advance(ROUND);
        }
        server.clock.advance(Duration::from_secs(2 * 3600));
        // The break is over, before a round of the server's own work and after it.
        machine.twin().waits(&server, &site_key, "reimage").await;
        server.app.all_are_back();
        server.clock.advance(ROUND);
        machine.twin().waits(&server, &site_key, "reimage").await;
        for _ in 0..2 {
            server.app.all_are_back();
            server.clock.advance(ROUND);
        }
        let reply = machine.twin().enroll(&server, &site_key).await.expect(200);
        assert_eq!((&reply["host_id"], &reply["disposition"]), (&json!(host_id), &json!("rekeyed")));
    }
}
