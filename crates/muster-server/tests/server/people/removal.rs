//! Whoever is removed is gone at once, whatever they hold and whatever they have begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_ids::UserId;
use muster_store::{Lock, LockKey, Priority, StoreError, params};
use serde_json::json;

use crate::people::scene::{PASSWORD, accept, admin, audited, invite, join, remove, set_role, team};
use crate::world::{World, both};

/// Counts the rows of a person that would let them in.
async fn credentials(world: &World, user_id: &str) -> i64 {
    let user_id: UserId = user_id.parse().unwrap();
    let count = world.app.look(move |tx| {
        tx.query_one(
            "SELECT (SELECT COUNT(*) FROM operator_token WHERE user_id = $1 AND revoked_at IS NULL)
                  + (SELECT COUNT(*) FROM web_session WHERE user_id = $1 AND ended_at IS NULL)
                  + (SELECT COUNT(*) FROM password WHERE user_id = $1)
                  + (SELECT COUNT(*) FROM second_factor WHERE user_id = $1)
                  + (SELECT COUNT(*) FROM recovery_code WHERE user_id = $1)
                  + (SELECT COUNT(*) FROM oidc_identity WHERE user_id = $1)",
            params![user_id],
            |row| row.get(0),
        )
    });
    count.await.unwrap()
}

/// Gives a person a second factor, a recovery code and an identity at a provider.
async fn furnish(world: &World, user_id: &str) {
    let user_id: UserId = user_id.parse().unwrap();
    let write = world.app.store.write(Priority::Urgent, move |tx| {
        tx.execute(
            "INSERT INTO second_factor (user_id, sealed, created_at, confirmed_at, last_step) VALUES ($1, $2, 1, 1, 0)",
            params![user_id, vec![1_u8]],
        )?;
        tx.execute("INSERT INTO recovery_code (user_id, verifier) VALUES ($1, $2)", params![user_id, vec![2_u8]])?;
        tx.execute(
            "INSERT INTO oidc_identity (issuer, subject, user_id, created_at) VALUES ('https://id.example', 'x', $1, 1)",
            params![user_id],
        )?;
        Ok::<_, StoreError>(())
    });
    write.await.unwrap();
}

both! {
    /// SECURITY B20, B21: everything they could show ends; the name is free, and whoever takes it inherits nothing.
    async fn b20_b21_nothing_of_a_removed_person_works(world) {
        let ops = team(&world, "ops").await;
        let person = join(&world, &ops.owner, "Grace", "owner").await;
        let invitation = invite(&world, &person, "accomplice", "owner").await;
        furnish(&world, &person.id).await;
        assert!(credentials(&world, &person.id).await >= 6);
        assert_eq!(remove(&world, &ops.owner, &person).await.status, 200);
        person.ask(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
        person.browse(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
        let body = json!({ "login": "grace", "password": PASSWORD });
        assert_eq!(world.ask("POST", "/v1/sign-in", "", Some(body)).await.status, 401);
        accept(&world, &invitation, "mallory", "").await.problem(401, "invitation_rejected");
        assert_eq!(credentials(&world, &person.id).await, 0);
        assert_eq!(remove(&world, &ops.owner, &person).await.status, 200, "again");
        set_role(&world, &ops.owner, &person, "viewer").await.problem(409, "person_removed");
        assert_eq!(audited(&world, &ops.owner, "person.removed").await.len(), 1);
        let heir = join(&world, &ops.owner, "Grace", "viewer").await;
        assert_ne!(heir.id, person.id);
        assert_eq!(heir.must(&world, "GET", "/v1/me", None).await["role"], "viewer");
        person.ask(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
    }

    /// The change was let in while its author was a member, and waits while they are removed.
    async fn b20_a_change_in_flight_is_refused_in_its_transaction(world) {
        let ops = team(&world, "ops").await;
        let person = join(&world, &ops.owner, "Grace", "owner").await;
        let user_id: UserId = person.id.parse().unwrap();
        let (held, free) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (holds, frees) = (held.clone(), free.clone());
        let app = world.app.clone();
        let gate = tokio::spawn(async move {
            let hold = app.store.write(Priority::Urgent, move |tx| {
                tx.lock(&[Lock::exclusive(LockKey::User(user_id))])?;
                holds.store(true, Ordering::SeqCst);
                while !frees.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok::<_, StoreError>(())
            });
            hold.await
        });
        while !held.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let world = Arc::new(world);
        let removal = {
            let (world, owner, person) = (world.clone(), ops.owner.clone(), person.clone());
            tokio::spawn(async move { remove(&world, &owner, &person).await })
        };
        tokio::time::sleep(Duration::from_millis(200)).await;
        let change = {
            let (world, person) = (world.clone(), person.clone());
            tokio::spawn(async move {
                person.ask(&world, "POST", "/v1/invitations", Some(json!({ "name": "mole", "role": "owner" }))).await
            })
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!removal.is_finished() && !change.is_finished(), "both were let in and wait");
        free.store(true, Ordering::SeqCst);
        gate.await.unwrap().unwrap();
        assert_eq!(removal.await.unwrap().status, 200);
        change.await.unwrap().problem(401, "unauthorized");
        let invitations = ops.owner.must(&world, "GET", "/v1/invitations", None).await;
        assert!(!invitations.to_string().contains("mole"));
    }

    /// SECURITY B1: the setup stays closed when nobody is left.
    async fn b01_setup_stays_closed_after_everybody_is_gone(world) {
        let root = admin(&world).await;
        remove(&world, &root, &root).await.problem(409, "last_admin");
        let write = world.app.store.write(Priority::Urgent, |tx| {
            tx.execute("UPDATE person SET removed_at = 1, login = NULL, name = 'gone'", params![])?;
            Ok::<_, StoreError>(())
        });
        write.await.unwrap();
        root.ask(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
        assert_eq!(world.ask("GET", "/v1/setup", "", None).await.body["configured"], true);
        for path in ["/v1/setup", "/v1/setup/", "//v1/setup", "/v1/Setup", "/v1/setup/x", "/v1/setup%2f", "/v1/./setup"] {
            let body = json!({ "code": "AAAA-BBBB-CCCC-DDDD", "admin_name": "Mallory" });
            let answer = world.ask("POST", path, "", Some(body)).await;
            assert!([404, 405, 410, 400].contains(&answer.status), "{path}: {answer:?}");
        }
        let people = world.app.look(|tx| {
            tx.query_one("SELECT COUNT(*) FROM person", params![], |row| row.get::<i64>(0))
        });
        assert_eq!(people.await.unwrap(), 1);
    }
}
