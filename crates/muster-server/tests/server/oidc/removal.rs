//! Removing a provider: nobody comes in after it, and who came in by it goes, however many they are.

use std::sync::mpsc;
use std::time::Duration;

use muster_ids::{TeamId, UserId, WebSessionId};
use muster_server::reconcile::sign_out_some;
use muster_store::rows::{PersonRow, WebSessionRow};
use muster_store::{Lock, LockKey, Priority, params};
use muster_wire::people::Role;
use muster_wire::sign_in::SignInMethod;
use serde_json::json;
use uuid::Uuid;

use crate::oidc::scene::{Scene, refused};
use crate::world::{Backend, World, both};

const PATH: &str = "/v1/oidc/providers/corp";

/// Makes so many people who came by the provider, each with a session.
async fn crowd(scene: &Scene, from: u128, count: u128) {
    let (app, issuer) = (&scene.world.app, scene.provider.issuer());
    let team_id: TeamId = scene.team.parse().unwrap();
    let made = app.change(Priority::Normal, app.clock.now(), move |unit| {
        for n in from..from + count {
            let user_id = UserId::from_uuid(Uuid::from_u128(n));
            let (name, role, created_at) = (format!("person {n}"), Role::Viewer, unit.now);
            unit.tx.person_insert(&PersonRow { id: user_id, team_id, name, role, created_at })?;
            unit.tx.oidc_identity_set(&issuer, &n.to_string(), user_id, unit.now)?;
            unit.tx.web_session_insert(&WebSessionRow {
                id: format!("{n:012}").parse::<WebSessionId>().unwrap(),
                team_id,
                user_id,
                verifier: [1; 32],
                listener: "operators".to_owned(),
                method: SignInMethod::Oidc,
                source: "192.0.2.1".to_owned(),
                user_agent: String::new(),
                created_at: unit.now,
                seen_at: unit.now,
                expires_at: unit.now.plus(Duration::from_secs(3600)),
            })?;
        }
        Ok(())
    });
    made.await.unwrap();
}

async fn open_sessions(world: &World) -> i64 {
    let count = |tx: &mut muster_store::Tx<'_>| {
        tx.query_one("SELECT COUNT(*) FROM web_session WHERE ended_at IS NULL", params![], |row| row.get(0))
    };
    world.app.look(count).await.unwrap()
}

both! {
    /// More than one transaction bears: the removal itself does not wait for any of them.
    async fn a_provider_of_many_people_is_removed_with_all_their_sessions(world) {
        let scene = Scene::of(world).await;
        for batch in 0..6 {
            crowd(&scene, 1 + batch * 150, 150).await;
        }
        let (mut browser, _) = scene.sign_in("sub-ada").await;
        assert_eq!(open_sessions(&scene.world).await, 901);
        let removed = scene.world.must("POST", &format!("{PATH}/remove"), None).await;
        assert_eq!(removed, json!({ "signed_out": 901 }));
        assert_eq!(open_sessions(&scene.world).await, 0);
        assert_eq!(scene.me(&mut browser).await.status, 401);
        assert!(!sign_out_some(&scene.world.app).await.unwrap(), "nothing is left");
    }

    /// A server that died after the first transaction: the row is still there, and so is what is left to do.
    async fn what_the_reply_did_not_wait_for_is_done_by_the_server(world) {
        let scene = Scene::of(world).await;
        crowd(&scene, 1, 150).await;
        let issuer = scene.provider.issuer();
        scene.world.must("POST", &format!("{PATH}/remove"), None).await;
        crowd(&scene, 1001, 250).await;
        let (app, asked_at) = (&scene.world.app, scene.world.app.clock.now());
        let left = app.change(Priority::Normal, asked_at, move |unit| {
            unit.tx.issuer_sign_out_insert(&muster_store::rows::IssuerSignOutRow {
                issuer: issuer.clone(),
                provider: "corp".to_owned(),
                actor: "user".to_owned(),
                role: Some(Role::Admin),
                source: "-".to_owned(),
                asked_at,
                after_user: None,
            })?;
            Ok(())
        });
        left.await.unwrap();
        // Taken in again meanwhile: who comes by it now stays.
        scene.world.must("PUT", PATH, Some(scene.settings())).await;
        scene.wait(1);
        let (mut browser, _) = scene.sign_in("sub-ada").await;
        let mut steps = 0;
        while sign_out_some(app).await.unwrap() {
            steps += 1;
        }
        assert_eq!((steps, open_sessions(&scene.world).await), (5, 1));
        assert_eq!(scene.me(&mut browser).await.status, 200);
    }

    async fn who_came_by_another_issuer_stays(world) {
        let scene = Scene::of(world).await;
        scene.world.must("PUT", "/v1/oidc/providers/other", Some(scene.settings())).await;
        let (mut browser, _) = scene.sign_in("sub-ada").await;
        let removed = scene.world.must("POST", "/v1/oidc/providers/other/remove", None).await;
        assert_eq!(removed, json!({ "signed_out": 0 }));
        assert_eq!(scene.me(&mut browser).await.status, 200);
        let mut settings = scene.settings();
        settings["issuer"] = json!("https://other.example");
        scene.world.must("PUT", PATH, Some(settings)).await;
        assert_eq!(scene.me(&mut browser).await.status, 401);
    }
}

/// Holds a lock in a transaction, runs a statement in it, and commits when the guard is dropped.
async fn hold(world: &World, name: &'static str, statement: &'static str) -> mpsc::Sender<()> {
    let (go_on, held) = mpsc::channel::<()>();
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (held, begun) = (std::sync::Mutex::new(held), std::sync::Mutex::new(Some(begun)));
    let app = world.app.clone();
    tokio::spawn(async move {
        let change = app.change(Priority::Normal, app.clock.now(), move |unit| {
            unit.tx.lock(&[Lock::exclusive(LockKey::Named(name))])?;
            if !statement.is_empty() {
                unit.tx.execute(statement, params![])?;
            }
            if let Some(begun) = begun.lock().unwrap().take() {
                begun.send(()).unwrap();
            }
            let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(4));
            Ok(())
        });
        change.await.unwrap();
    });
    begins.await.unwrap();
    go_on
}

/// On PostgreSQL an arrival that reads the provider before the removal commits would commit after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_in_by_a_provider_whose_removal_was_answered() {
    let scene = Scene::of(World::start(Backend::Postgres).await).await;
    let (mut browser, callback) = scene.until_callback("sub-ada").await;
    let statement = "DELETE FROM oidc_provider WHERE name = 'corp'";
    let removal = hold(&scene.world, "oidc providers", statement).await;
    let arrival = async {
        let answer = browser.get(&callback).await;
        refused(&browser, &answer, 401, "oidc_failed");
    };
    let commit = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        drop(removal);
    };
    tokio::join!(arrival, commit);
    assert_eq!(open_sessions(&scene.world).await, 0);
}

/// Who counts the admins before one goes must not be told a number that an arrival is about to change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_arrival_waits_for_who_counts_members() {
    let scene = Scene::of(World::start(Backend::Postgres).await).await;
    let (_, was) = scene.sign_in("sub-eve").await;
    assert_eq!(was.json()["role"].as_str(), Some("admin"));
    scene.put("sub-eve", "eve", &["everybody"]).await;
    let (mut browser, callback) = scene.until_callback("sub-eve").await;
    let counted = hold(&scene.world, "members", "").await;
    let admins = async || {
        let people = scene.world.must("GET", "/v1/people", None).await;
        people["items"].as_array().unwrap().iter().filter(|person| person["role"] == "admin").count()
    };
    let arrival = async {
        let answer = browser.get(&callback).await;
        refused(&browser, &answer, 403, "no_role");
    };
    let count = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert_eq!(admins().await, 2, "nobody goes while they are counted");
        drop(counted);
    };
    tokio::join!(arrival, count);
    assert_eq!(admins().await, 1);
}
