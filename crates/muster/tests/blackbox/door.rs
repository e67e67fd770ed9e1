//! One ticket, one host (SECURITY B15), and a reply that is lost on its way (SECURITY C2, C9).

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use muster_testkit::proxy::{Fault, Proxy};
use serde_json::json;

use crate::harness::{Backend, Installation, Machine, Reply, both, until};

const KEYS: usize = 64;
const WITHIN: Duration = Duration::from_secs(10);

/// One host, and for everybody else the same bytes.
fn assert_one_winner(replies: &[Reply]) -> &Reply {
    let statuses = statuses(replies);
    assert!(statuses.iter().all(|status| *status < 500), "{statuses:?}");
    let (won, lost): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.status == 201);
    assert_eq!(won.len(), 1, "{statuses:?}");
    let first = lost[0].without_request_id();
    for reply in &lost {
        reply.assert_is_problem("a machine that came too late");
        assert_eq!((reply.status, reply.code()), (401, "enrollment_rejected"));
        assert_eq!(reply.without_request_id(), first, "refusals differ");
    }
    won[0]
}

fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.status).collect()
}

async fn all_at_once(installation: &Installation, ticket: &str) -> Vec<Reply> {
    let machines: Vec<Machine> = (0..KEYS).map(|n| installation.machine(&format!("m-{n}"))).collect();
    join_all(machines.iter().map(|machine| async { machine.enrol(ticket).await.unwrap() })).await
}

fn assert_rejected(reply: &Reply) {
    reply.assert_is_problem("a ticket that opens nothing");
    assert_eq!((reply.status, reply.code()), (401, "enrollment_rejected"), "{}", reply.text);
}

both! {
    async fn b15_one_token_and_64_keys_make_one_host(backend: Backend) {
        let installation = Installation::start(backend).await;
        let token = installation.token_with(json!({ "host_name": "the-one", "tags": ["role:db"] })).await;
        let replies = all_at_once(&installation, &token.token).await;
        let won = assert_one_winner(&replies);
        let hosts = installation.hosts().await;
        assert_eq!(hosts.len(), 1);
        assert_eq!(won.json["host_id"], json!(hosts[0].id));
        assert_eq!((hosts[0].name.as_str(), hosts[0].door), ("the-one", Some(1)));
        let refusals = format!("/v1/tickets/{}/refusals", token.ticket.id);
        let refusals = installation.ask(Method::GET, &refusals, None).await;
        let counts = refusals.json["items"].as_array().unwrap().iter().filter_map(|row| row["count"].as_u64());
        assert_eq!(counts.sum::<u64>(), KEYS as u64 - 1, "every refusal is counted: {}", refusals.text);
    }

    async fn b15_one_token_and_64_keys_of_one_machine_make_one_host(backend: Backend) {
        let installation = Installation::start(backend).await;
        let token = installation.token().await.token;
        let first = installation.machine("same-hardware");
        let machines: Vec<Machine> = (0..KEYS).map(|_| first.twin("same-hardware")).collect();
        let replies = join_all(machines.iter().map(|machine| async { machine.enrol(&token).await.unwrap() })).await;
        assert_one_winner(&replies);
        assert_eq!(installation.hosts().await.len(), 1);
        assert_eq!(installation.claims().await.len(), 0, "a spent token opens no claim");
    }

    async fn b15_one_registration_token_and_64_keys_register_the_host_once(backend: Backend) {
        let installation = Installation::start(backend).await;
        let invited = installation.invite("web-1").await;
        let replies = all_at_once(&installation, &invited.registration.token).await;
        let won = assert_one_winner(&replies);
        assert_eq!(won.json["disposition"], "registered");
        assert_eq!(won.json["host_id"], json!(invited.host.id));
        assert_eq!(installation.hosts().await.len(), 1);
    }

    async fn b15_a_token_that_was_issued_anew_voids_the_older(backend: Backend) {
        let installation = Installation::start(backend).await;
        let invited = installation.invite("web-1").await;
        let newer = installation.reissue(invited.host.id, json!({})).await;
        let machine = installation.machine("web-1");
        assert_rejected(&machine.enrol(&invited.registration.token).await.unwrap());
        assert_eq!(machine.admitted(&newer.token).await, invited.host.id);
        assert_rejected(&installation.machine("late").enrol(&invited.registration.token).await.unwrap());
        let again = machine.enrol(&newer.token).await.unwrap();
        assert_eq!((again.status, &again.json["replayed"]), (200, &json!(true)), "{}", again.text);
    }

    async fn b15_a_token_stays_spent_when_its_host_is_retired(backend: Backend) {
        let installation = Installation::start(backend).await;
        let token = installation.token().await.token;
        let machine = installation.machine("gone");
        let host = machine.admitted(&token).await;
        installation.retire(host).await;
        assert_rejected(&installation.machine("reuse").enrol(&token).await.unwrap());
        assert_rejected(&machine.twin("reimaged").enrol(&token).await.unwrap());
        let own = machine.enrol(&token).await.unwrap();
        own.assert_is_problem("the retired host itself");
        assert_eq!(own.status, 401, "{}", own.text);
        assert_eq!(installation.hosts().await.iter().filter(|host| host.retired_at.is_none()).count(), 0);
    }

    async fn b15_a_revoked_token_opens_nothing(backend: Backend) {
        let installation = Installation::start(backend).await;
        let token = installation.token().await;
        let path = format!("/v1/tickets/{}/revoke", token.ticket.id);
        assert_eq!(installation.ask(Method::POST, &path, None).await.status, 200);
        assert_rejected(&installation.machine("late").enrol(&token.token).await.unwrap());
        assert_eq!(installation.hosts().await.len(), 0);
    }

    async fn b15_a_site_key_that_was_revoked_admits_nobody_afterwards(backend: Backend) {
        let installation = Installation::start(backend).await;
        let key = installation.site_key.token.clone();
        let machines: Vec<Machine> = (0..48).map(|n| installation.machine(&format!("m-{n}"))).collect();
        let path = format!("/v1/tickets/{}/revoke", installation.site_key.ticket.id);
        let first_answered = tokio::sync::Notify::new();
        let enrolling = join_all(machines.iter().map(|machine| async {
            let reply = machine.enrol(&key).await.unwrap();
            first_answered.notify_one();
            reply
        }));
        let revoking = async {
            first_answered.notified().await;
            let revoked = installation.ask(Method::POST, &path, None).await;
            (revoked.status, installation.hosts().await.len())
        };
        let (replies, (revoked, hosts_then)) = tokio::join!(enrolling, revoking);
        assert_eq!(revoked, 200);
        let statuses = statuses(&replies);
        assert!(statuses.iter().all(|status| matches!(status, 201 | 401)), "{statuses:?}");
        let hosts = installation.hosts().await.len();
        eprintln!("{hosts} of {} machines came before the revocation", machines.len());
        assert_eq!(hosts, statuses.iter().filter(|status| **status == 201).count());
        assert_eq!(hosts, hosts_then, "a host was made after the answered revocation: {statuses:?}");
        assert_rejected(&installation.machine("late").enrol(&key).await.unwrap());
    }

    async fn b30_a_ticket_is_spent_with_all_it_carries_or_not_at_all(backend: Backend) {
        let installation = Installation::start(backend).await;
        let carried = json!({ "host_name": "db-1", "tags": ["role:db", "tier:1"], "secrets": { "note": { "value": "x" } } });
        let first = installation.token_with(carried).await;
        let machine = installation.machine("own-name");
        let host = machine.admitted(&first.token).await;
        let shown = installation.host(host).await;
        let tags: Vec<&str> = shown.tags.iter().map(muster_wire::text::Tag::as_str).collect();
        assert_eq!((shown.name.as_str(), tags, shown.site_id), ("db-1", vec!["role:db", "tier:1"], installation.site));
        assert_eq!(shown.reported.unwrap().hostname.as_str(), "own-name");
        let secrets = installation.ask(Method::GET, &format!("/v1/hosts/{host}/secrets"), None).await;
        assert_eq!(secrets.json["items"][0]["name"], "note", "{}", secrets.text);

        let before = installation.host_bytes(host).await;
        let second = installation.token_with(json!({ "host_name": "db-2", "tags": ["role:web"] })).await;
        let invited = installation.invite("web-1").await;
        for ticket in [&second.token, &invited.registration.token] {
            let in_use = machine.enrol(ticket).await.unwrap();
            in_use.assert_is_problem("a key that is a host already");
            assert_eq!((in_use.status, in_use.code()), (409, "key_in_use"), "{}", in_use.text);
        }
        assert_eq!(installation.host_bytes(host).await, before, "the ticket of another host changed this one");
        let other = installation.machine("db-2").admitted(&second.token).await;
        assert_eq!(installation.host(other).await.name, "db-2", "the ticket was spent in vain");
        assert_eq!(installation.machine("web-1").admitted(&invited.registration.token).await, invited.host.id);
    }

    async fn b30_a_ticket_that_wants_a_key_pair_is_not_spent_without_one(backend: Backend) {
        let installation = Installation::start(backend).await;
        let token = installation.token_with(json!({ "require_key": true })).await;
        let machine = installation.machine("keyless");
        let mut report = machine.report();
        report["agent_secret"] = json!("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        for ticket in [&token.token, &installation.site_key.token] {
            let refused = installation.server.ask(Method::POST, "/v1/enroll", Some(ticket), Some(&report)).await;
            refused.assert_is_problem("an agent secret where a key pair is needed");
            assert_eq!((refused.status, refused.fields().len()), (422, 1), "{}", refused.text);
        }
        assert_eq!(installation.hosts().await.len(), 0);
        machine.admitted(&token.token).await;
    }

    async fn c02_an_agent_secret_counts_as_the_same_key(backend: Backend) {
        let installation = Installation::start(backend).await;
        let token = installation.token().await.token;
        let report = |secret: &str| {
            let mut report = installation.machine("keyless").report();
            report["machine_uid"] = json!("smbios:00112233445566778899aabbccddeeff");
            report["agent_secret"] = json!(secret);
            report
        };
        let own = report("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        let ask = |body: serde_json::Value| {
            let (server, token) = (&installation.server, &token);
            async move { server.ask(Method::POST, "/v1/enroll", Some(token), Some(&body)).await }
        };
        let first = ask(own.clone()).await;
        assert_eq!(first.status, 201, "{}", first.text);
        assert!(!first.text.contains("AAECAwQF"), "a reply carries no credential");
        let again = ask(own).await;
        assert_eq!((again.status, &again.json["replayed"]), (200, &json!(true)), "{}", again.text);
        assert_eq!((&again.json["host_id"], &again.json["agent_key_id"]), (&first.json["host_id"], &first.json["agent_key_id"]));
        assert_rejected(&ask(report("HxECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")).await);
        assert_eq!(installation.hosts().await.len(), 1);
    }

    async fn c02_a_lost_reply_is_repeated_to_the_key_that_spent_the_token(backend: Backend) {
        let installation = Installation::start(backend).await;
        let token = installation.token().await.token;
        let (machine, host) = lose_reply(&installation, "lost-1", &token).await;
        for _ in 0..2 {
            let again = machine.enrol(&token).await.unwrap();
            assert_eq!((again.status, &again.json["replayed"]), (200, &json!(true)), "{}", again.text);
            assert_eq!((&again.json["host_id"], &again.json["disposition"]), (&json!(host), &json!("new")));
        }
        assert_rejected(&installation.machine("other").enrol(&token).await.unwrap());
        assert_rejected(&machine.twin("other-key").enrol(&token).await.unwrap());
        assert_eq!(installation.hosts().await.len(), 1);
    }

    async fn c02_a_lost_reply_of_door_2_is_repeated(backend: Backend) {
        let installation = Installation::start(backend).await;
        let invited = installation.invite("web-1").await;
        let token = invited.registration.token;
        let proxy = Proxy::start(installation.server.machines).await.unwrap();
        proxy.fail(Fault::HoldReplies { from_turn: 2 });
        let machine = installation.machine("web-1").through(proxy.address());
        let committed = async {
            until("the host is not registered", WITHIN, async || {
                installation.host(invited.host.id).await.enrolled_at.map(drop)
            })
            .await;
            proxy.cut();
        };
        let (lost, ()) = tokio::join!(machine.enrol(&token), committed);
        assert!(lost.is_err(), "the reply arrived");
        let machine = machine.direct();
        let again = machine.enrol(&token).await.unwrap();
        assert_eq!((again.status, &again.json["replayed"]), (200, &json!(true)), "{}", again.text);
        assert_eq!(again.json["disposition"], "registered");
        assert_rejected(&installation.machine("other").enrol(&token).await.unwrap());
    }

    async fn c02_a_lost_reply_of_door_3_ends_in_the_same_host(backend: Backend) {
        let installation = Installation::start(backend).await;
        let key = installation.site_key.token.clone();
        let (machine, host) = lose_reply(&installation, "lost-3", &key).await;
        let again = machine.enrol(&key).await.unwrap();
        assert_eq!((again.status, &again.json["host_id"]), (200, &json!(host)), "{}", again.text);
        assert_eq!(again.json["disposition"], "reuse");
        assert_eq!(installation.hosts().await.len(), 1);
    }

    async fn c02_a_lost_claim_is_repeated_and_stays_one(backend: Backend) {
        let installation = Installation::start(backend).await;
        let key = installation.site_key.token.clone();
        let owner = installation.machine("owner");
        let host = owner.admitted(&key).await;
        let before = installation.host_bytes(host).await;
        let proxy = Proxy::start(installation.server.machines).await.unwrap();
        proxy.fail(Fault::HoldReplies { from_turn: 2 });
        let twin = owner.twin("twin").through(proxy.address());
        let committed = async {
            until("there is no claim", WITHIN, async || (installation.claims().await.len() == 1).then_some(())).await;
            proxy.cut();
        };
        let (lost, ()) = tokio::join!(twin.enrol(&key), committed);
        assert!(lost.is_err());
        let twin = twin.direct();
        let claims = installation.claims().await;
        let again = twin.enrol(&key).await.unwrap();
        assert_eq!((again.status, &again.json["claim_id"]), (202, &json!(claims[0].id)), "{}", again.text);
        assert!(again.header("retry-after").is_some(), "the machine is told when to ask again");
        assert!(!again.text.contains(&host.to_string()), "a claim's answer names no host");
        assert_eq!(installation.claims().await, claims, "asking again changed the claim");
        assert_eq!(installation.host_bytes(host).await, before, "the contested host changed");
    }

    async fn c02_a_connection_cut_at_any_byte_leaves_the_ticket_usable(backend: Backend) {
        let installation = Installation::start(backend).await;
        let proxy = Proxy::start(installation.server.machines).await.unwrap();
        let mut faults: Vec<Fault> = [1, 700, 1800, 2200, 2600].map(|bytes| Fault::CutRequestAfter { bytes }).into();
        faults.extend([1, 900, 1300, 1500].map(|bytes| Fault::CutReplyAfter { bytes }));
        faults.extend([1, 2].map(|from_turn| Fault::CutBeforeReply { from_turn }));
        for (n, fault) in faults.into_iter().enumerate() {
            let token = installation.token().await.token;
            proxy.fail(fault.clone());
            let machine = installation.machine(&format!("cut-{n}")).through(proxy.address());
            let first = machine.enrol(&token).await;
            let machine = machine.direct();
            let host = machine.admitted(&token).await;
            if let Ok(first) = first {
                assert_eq!(first.json["host_id"], json!(host), "{fault:?}");
            }
            assert_eq!(installation.hosts().await.len(), n + 1, "{fault:?}");
            assert_rejected(&installation.machine("other").enrol(&token).await.unwrap());
        }
    }

    async fn c09_a_request_that_arrives_twice_makes_one_host(backend: Backend) {
        let installation = Installation::start(backend).await;
        let proxy = Proxy::start(installation.server.operators).await.unwrap();
        proxy.fail(Fault::Duplicate);
        for n in 0..8 {
            let token = installation.token().await.token;
            let machine = Machine::new(&format!("twice-{n}"), &[], installation.server.operators_url());
            let machine = machine.through(proxy.address());
            let reply = machine.enrol(&token).await.unwrap();
            // Either copy may be the first; the other one is a proof that was used before.
            assert!(matches!(reply.status, 201 | 401), "{} {}", reply.status, reply.text);
            if reply.status == 401 {
                assert_eq!(reply.code(), "invalid_dpop_proof", "{}", reply.text);
            }
            let machine = machine.direct();
            // The copy that came first may have been cut off together with its connection, before its commit.
            machine.admitted(&token).await;
            assert_eq!(installation.hosts().await.len(), n + 1);
        }
    }
}

/// Enrols, loses the reply after the commit, and returns the machine and the host that came to be.
async fn lose_reply(installation: &Installation, name: &str, ticket: &str) -> (Machine, muster_ids::HostId) {
    let proxy = Proxy::start(installation.server.machines).await.unwrap();
    // The second turn of a TLS 1.3 client is its request.
    proxy.fail(Fault::HoldReplies { from_turn: 2 });
    let machine = installation.machine(name).through(proxy.address());
    let committed = async {
        let hosts = until("there is no host", WITHIN, async || {
            let hosts = installation.hosts().await;
            (!hosts.is_empty()).then_some(hosts)
        })
        .await;
        proxy.cut();
        hosts[0].id
    };
    let (lost, host) = tokio::join!(machine.enrol(ticket), committed);
    assert!(lost.is_err(), "the reply arrived: {lost:?}");
    (machine.direct(), host)
}
