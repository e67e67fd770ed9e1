//! Every end of a right is a row of the log, written in the transaction that ends it; every node reads it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use muster_ids::{HostId, KeyName};
use muster_server::effects::Ended;
use muster_server::enrol::{retire, suspend};
use muster_server::reconcile::Follower;
use muster_server::unit::Author;
use muster_store::{Lock, LockKey, Priority, params};
use muster_wire::channel::{ServerMessage, close};
use muster_wire::host::HostState;
use muster_wire::parting::GoodbyeReason;
use serde_json::json;

use crate::keys::scene::{decide, invite, mint, repo, revoke, site, waiting};
use crate::revoke::{PROMISED, Watching, logged, must_in, text};
use crate::world::{Backend, Machine, World, both, until};

both! {
    async fn b20_every_end_of_a_right_is_in_the_log(world) {
        let mut last = logged(&world, 0).await.1;
        macro_rules! ended {
            ($($what:expr => $reason:literal),+ $(,)?) => {{
                let (rows, seen) = logged(&world, last).await;
                last = seen;
                let expected = [$(($what.to_string(), $reason.to_owned())),+];
                for row in &expected {
                    assert!(rows.contains(row), "{row:?} is not in {rows:?}");
                }
            }};
        }
        // Keys and hosts.
        let (host_id, registration) = invite(&world, "printer").await;
        let minted = mint(&world, &host_id).await;
        let key = text(&minted.body["key"], "name");
        ended!(format!("ticket:{}", &registration[4..16]) => "revoked");
        revoke(&world, &host_id, &key).await;
        ended!(key => "revoked");
        let host = world.join("alpha", repo()).await;
        let path = format!("/v1/hosts/{}", host.host_id);
        world.must("POST", &format!("{path}/suspend"), None).await;
        ended!(host.host_id => "suspended");
        world.must("POST", &format!("{path}/resume"), None).await;
        let (elsewhere, site_key) = site(&world, "elsewhere", json!({})).await;
        world.must("POST", &format!("{path}/move"), Some(json!({ "site_id": elsewhere }))).await;
        ended!(host.host_id => "moved");
        let contested = Machine::new("twin").join(&world, &site_key).await;
        assert_eq!(Machine::new("twin").enroll(&world, &site_key).await.status, 202);
        let claim = text(&waiting(&world).await[0], "id");
        let replaced = decide(&world, &claim, "replace", false).await;
        assert_eq!(replaced.status, 200, "{replaced:?}");
        ended!(contested.key_name() => "replaced");
        assert_eq!(world.retire(&host).await.status, 200);
        ended!(host.host_id => "retired", host.key_name() => "retired");
        let leaving = world.join("beta", repo()).await;
        leaving.post(&world, &format!("/v1/hosts/{}/leave", leaving.host_id), None).await;
        ended!(leaving.host_id => "retired", leaving.key_name() => "retired");
        // Tickets.
        let rotated = format!("/v1/site-keys/{}/rotate", &site_key[4..16]);
        world.must("POST", &rotated, Some(json!({}))).await;
        ended!(format!("ticket:{}", &site_key[4..16]) => "rotated");
        // People.
        let team = world.team("other").await;
        let owner = format!("/v1/people/{}", team.owner_id);
        let body = json!({ "role": "viewer" });
        must_in(&world, &team, "PUT", &format!("{owner}/role"), Some(body)).await;
        ended!(team.owner_id => "role");
        must_in(&world, &team, "POST", &format!("{owner}/remove"), None).await;
        ended!(team.owner_id => "removed");
        let token = world.must("POST", "/v1/me/tokens", Some(json!({ "name": "ci" }))).await;
        let id = text(&token["api_token"], "id");
        world.must("POST", &format!("/v1/tokens/{id}/revoke"), None).await;
        ended!(format!("token:{id}") => "revoked");
        let body = json!({ "name": "Bo", "role": "admin" });
        let invited = world.must("POST", "/v1/invitations", Some(body)).await;
        let id = text(&invited["invitation"], "id");
        world.must("POST", &format!("/v1/invitations/{id}/revoke"), None).await;
        ended!(format!("invitation:{id}") => "revoked");
        // Endpoints.
        let hook = json!({ "name": "hook", "target": { "webhook": { "url": "http://127.0.0.1:9/" } } });
        let made = world.must("POST", "/v1/endpoints", Some(hook)).await;
        let id = text(&made["endpoint"], "id");
        world.must("POST", &format!("/v1/endpoints/{id}/rotate-secret"), Some(json!({}))).await;
        ended!(id => "secret rotated");
        world.must("POST", &format!("/v1/endpoints/{id}/remove"), None).await;
        ended!(id => "removed");
        let _ = last;
    }

    /// This server is the other node: somebody else revokes, on the same database.
    async fn b20_what_another_node_revokes_is_cut_here_by_the_log(world) {
        let elsewhere = world.with_outbound(&[]).await;
        let mut follower = Follower::new(&world.app);
        follower.follow(&world.app).await.unwrap();
        let (kept, ended) = (world.join("kept", repo()).await, world.join("ended", repo()).await);
        let suspended = world.join("suspended", repo()).await;
        let team = world.team("other").await;
        let (mut kept_socket, _) = kept.connect(&world, None).await;
        let (mut socket, _) = ended.connect(&world, None).await;
        let (mut suspended_socket, _) = suspended.connect(&world, None).await;
        let watching = Watching::open(&world, &team.token).await;
        let platform = world.app.look(|tx| tx.platform_team_id()).await.unwrap().unwrap();
        let (team_id, owner) = (team.id, team.owner_id.parse().unwrap());
        let (ended_id, suspended_id) = (ended.host_id, suspended.host_id);
        let revoked = elsewhere.change(Priority::Urgent, elsewhere.clock.now(), move |unit| {
            let author = Author::system();
            let host = retire::locked(unit, platform, ended_id)?;
            retire::retire_locked(unit, &[&host], &author, retire::Why::Person)?;
            unit.tx.lock(&[Lock::exclusive(LockKey::Host(suspended_id))])?;
            suspend::suspend(unit, (platform, suspended_id), HostState::Active, &author, None)?;
            Ok(unit.end(team_id, Ended::Person(owner), "removed")?)
        });
        revoked.await.unwrap();
        assert!(world.app.credentials.get(&ended.key_name()).is_some(), "this node knows nothing yet");
        assert_eq!(world.app.hub.len(), 3);
        follower.follow(&world.app).await.unwrap();
        assert_eq!(world.app.hub.len(), 1);
        for gone in [&ended, &suspended] {
            assert!(world.app.credentials.get(&gone.key_name()).is_none());
        }
        assert!(world.app.credentials.get(&kept.key_name()).is_some());
        assert!(matches!(socket.message().await, ServerMessage::Revoked { .. }));
        socket.closes_with(close::REVOKED).await;
        let ServerMessage::Goodbye { reason, .. } = suspended_socket.message().await else { panic!("no goodbye") };
        assert_eq!(reason.as_str(), GoodbyeReason::Suspended.as_str());
        assert!(watching.has_ended().await);
        kept_socket.heartbeat().await;
        assert_eq!(follower.follow(&world.app).await.unwrap(), 0, "each row once");
        assert_eq!(world.app.hub.len(), 1);
    }

    /// Followed by itself, in the background, within what is promised.
    async fn b20_the_log_is_followed_without_being_asked(world) {
        let elsewhere = world.with_outbound(&[]).await;
        let shutdown = tokio_util::sync::CancellationToken::new();
        let task = tokio::spawn(muster_server::reconcile::revocations(world.app.clone(), shutdown.clone()));
        let host = world.join("alpha", repo()).await;
        let (_socket, _) = host.connect(&world, None).await;
        let platform = world.app.look(|tx| tx.platform_team_id()).await.unwrap().unwrap();
        let host_id = host.host_id;
        let revoked = elsewhere.change(Priority::Urgent, elsewhere.clock.now(), move |unit| {
            let host = retire::locked(unit, platform, host_id)?;
            retire::retire_locked(unit, &[&host], &Author::system(), retire::Why::Person)
        });
        revoked.await.unwrap();
        let cut = until("the channel is cut", async || !world.app.hub.is_connected(host_id));
        tokio::time::timeout(PROMISED, cut).await.unwrap();
        host.heartbeat(&world).await.problem(401, "key_revoked");
        shutdown.cancel();
        task.await.unwrap();
    }

    async fn what_this_node_cut_itself_is_not_cut_again(world) {
        let mut follower = Follower::new(&world.app);
        follower.follow(&world.app).await.unwrap();
        let team = world.team("other").await;
        let role = format!("/v1/people/{}/role", team.owner_id);
        must_in(&world, &team, "PUT", &role, Some(json!({ "role": "operator" }))).await;
        let watching = Watching::open(&world, &team.token).await;
        assert_eq!(follower.follow(&world.app).await.unwrap(), 0);
        assert_eq!(world.app.streams.len(), 1, "it was opened after the role was set");
        drop(watching);
    }

    async fn a_host_that_resumed_meanwhile_keeps_its_new_channel(world) {
        let elsewhere = world.with_outbound(&[]).await;
        let mut follower = Follower::new(&world.app);
        follower.follow(&world.app).await.unwrap();
        let host = world.join("alpha", repo()).await;
        let platform = world.app.look(|tx| tx.platform_team_id()).await.unwrap().unwrap();
        let host_id = host.host_id;
        let suspended = elsewhere.change(Priority::Urgent, elsewhere.clock.now(), move |unit| {
            suspend::suspend(unit, (platform, host_id), HostState::Active, &Author::system(), None)
        });
        suspended.await.unwrap();
        world.must("POST", &format!("/v1/hosts/{host_id}/resume"), None).await;
        let (_socket, _) = host.connect(&world, None).await;
        assert_eq!(follower.follow(&world.app).await.unwrap(), 1);
        assert!(world.app.hub.is_connected(host_id));
    }
}

/// PostgreSQL numbers rows when they are inserted and shows them when they are committed: a transaction that takes its
/// time is seen after one that began later.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn b20_a_revocation_that_is_committed_late_is_followed_all_the_same() {
    let world = World::start(Backend::Postgres).await;
    let elsewhere = world.with_outbound(&[]).await;
    let mut follower = Follower::new(&world.app);
    let (late, early) = (world.join("late", repo()).await, world.join("early", repo()).await);
    let (_late_socket, _) = late.connect(&world, None).await;
    let (_early_socket, _) = early.connect(&world, None).await;
    follower.follow(&world.app).await.unwrap();
    let platform = world.app.look(|tx| tx.platform_team_id()).await.unwrap().unwrap();
    let retire_it = move |unit: &mut muster_server::unit::Unit<'_, '_>, host_id: HostId| {
        let host = retire::locked(unit, platform, host_id)?;
        retire::retire_locked(unit, &[&host], &Author::system(), retire::Why::Person)
    };
    let (written, gate) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (late_id, early_id, slow) = (late.host_id, early.host_id, elsewhere.clone());
    let (written_inside, gate_inside) = (Arc::clone(&written), Arc::clone(&gate));
    let slow = tokio::spawn(async move {
        slow.change(Priority::Urgent, slow.clock.now(), move |unit| {
            retire_it(unit, late_id)?;
            written_inside.wait();
            gate_inside.wait();
            Ok(())
        })
        .await
    });
    tokio::task::spawn_blocking(move || written.wait()).await.unwrap();
    elsewhere
        .change(Priority::Urgent, elsewhere.clock.now(), move |unit| retire_it(unit, early_id))
        .await
        .unwrap();
    assert!(follower.follow(&world.app).await.unwrap() > 0);
    assert!(!world.app.hub.is_connected(early_id));
    assert!(world.app.hub.is_connected(late_id), "nobody can know of it yet");
    tokio::task::spawn_blocking(move || gate.wait()).await.unwrap();
    slow.await.unwrap().unwrap();
    assert!(follower.follow(&world.app).await.unwrap() > 0);
    assert!(!world.app.hub.is_connected(late_id));
}

/// Whoever calls one of these takes a right away and says so in the same file.
const ENDERS: [&str; 20] = [
    "host_key_end",
    "host_keys_end",
    "host_retire",
    "hosts_retire",
    "host_relocate",
    "ticket_revoke",
    "tickets_revoke",
    "ticket_rotate",
    "member_remove",
    "member_set_role",
    "web_session_end",
    "web_sessions_end",
    "web_sessions_end_until",
    "operator_token_revoke",
    "member_revoke_tokens",
    "invitation_revoke",
    "endpoint_remove",
    "host_hold",
    "password_set",
    "host_move",
];
/// Calls that take nothing away, or whose caller says it.
const SAID_ELSEWHERE: [(&str, &str); 4] = [
    ("api/account/password.rs", "password_set"),
    ("api/invitations/accept.rs", "password_set"),
    ("api/setup.rs", "password_set"),
    // Who was suspended stays suspended.
    ("enrol/apply.rs", "host_move"),
];

#[test]
fn b20_no_source_file_takes_a_right_away_in_silence() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut silent = BTreeSet::new();
    let mut waiting = vec![folder.clone()];
    let mut calls = 0;
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
            let writes_itself =
                [".revocation_insert(", ".revocations_insert("].iter().any(|call| source.contains(call));
            assert!(name == "unit.rs" || !writes_itself, "{name} goes round Unit::end");
            for ender in ENDERS.iter().filter(|ender| source.contains(&format!(".{ender}("))) {
                calls += 1;
                let is_said = source.contains("unit.end(")
                    || source.contains("unit.end_all(")
                    || SAID_ELSEWHERE.contains(&(&name, ender));
                if !is_said {
                    silent.insert(format!("{name}: {ender}"));
                }
            }
        }
    }
    assert!(calls >= 15, "the walk finds what it looks for: {calls}");
    assert!(silent.is_empty(), "{silent:#?}");
}

#[tokio::test]
async fn a_row_that_names_nothing_known_stops_nothing() {
    let world = World::start(Backend::Sqlite).await;
    let mut follower = Follower::new(&world.app);
    let host = world.join("alpha", repo()).await;
    let (_socket, _) = host.connect(&world, None).await;
    follower.follow(&world.app).await.unwrap();
    let (team_id, key) =
        (world.app.look(|tx| tx.platform_team_id()).await.unwrap().unwrap(), host.key_name());
    let written = world.app.store.write(Priority::Normal, move |tx| {
        tx.revocation_insert(team_id, "tea:pot", "emptied", muster_ids::Timestamp::from_millis(1))?;
        tx.execute("UPDATE host_key SET state = 'revoked', ended_at = 1 WHERE name = $1", params![key])?;
        tx.revocation_insert(
            team_id,
            &KeyName::to_string(&key),
            "revoked",
            muster_ids::Timestamp::from_millis(1),
        )
    });
    let written: Result<i64, muster_store::StoreError> = written.await;
    written.unwrap();
    follower.follow(&world.app).await.unwrap();
    let cut = until("the channel is cut", async || !world.app.hub.is_connected(host.host_id));
    tokio::time::timeout(Duration::from_secs(2), cut).await.unwrap();
}
