//! The way back in, for whoever holds database and master key.

use muster_server::recover::{Means, Recovered, recover_in};
use muster_store::{Priority, params};
use secrecy::ExposeSecret;

use crate::sign_in::{PASSWORD, sign_in, signed_in, with_password};
use crate::world::{World, both};

async fn recover(world: &World, name: Option<&str>, means: Means) -> anyhow::Result<Recovered> {
    let app = &world.app;
    recover_in(&app.store, &app.keyring, &app.clock, &app.entropy, name.map(str::to_owned), means).await
}

const PASSWORD_ANEW: Means = Means::Password { login: None };

both! {
    async fn an_admin_gets_in_again_and_the_former_ways_are_closed(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let recovered = recover(&world, None, PASSWORD_ANEW).await.unwrap();
        assert_eq!((recovered.login.as_deref(), recovered.is_new), (Some("ada"), false));
        assert_eq!(recovered.ended_sessions, 1);
        assert!(!browser.is_in(&world).await);
        sign_in(&world, "ada", PASSWORD).await.problem(401, "unauthorized");
        assert_eq!(sign_in(&world, "ada", recovered.secret.expose_secret()).await.status, 200);
        let audited = world.audited_times("person.recovered", 1).await;
        assert_eq!(audited[0]["actor"], "recover");
        assert!(!format!("{audited:?}").contains(recovered.secret.expose_secret()));
    }

    async fn a_token_or_a_login_for_who_has_none(world) {
        let recovered = recover(&world, Some("Ada"), Means::Token).await.unwrap();
        let token = format!("authorization: Bearer {}\r\n", recovered.secret.expose_secret());
        assert_eq!(world.ask("GET", "/v1/me", &token, None).await.body["role"], "admin");
        let recovered = recover(&world, None, Means::Password { login: Some("Root".to_owned()) }).await.unwrap();
        assert_eq!(recovered.login.as_deref(), Some("root"));
        assert_eq!(sign_in(&world, "root", recovered.secret.expose_secret()).await.status, 200);
    }

    async fn nobody_is_made_an_admin_who_is_none(world) {
        let refused = recover(&world, Some("Eve"), PASSWORD_ANEW).await.unwrap_err();
        assert!(refused.to_string().contains("Ada"), "{refused}");
    }

    async fn when_no_admin_is_left_one_is_made(world) {
        let removed = world.app.store.write(Priority::Normal, |tx| {
            tx.execute("UPDATE person SET removed_at = 1", params![]).map(drop)
        });
        removed.await.unwrap();
        let taken = recover(&world, Some("Ada"), PASSWORD_ANEW).await.unwrap_err();
        assert!(taken.to_string().contains("another"), "{taken}");
        let recovered = recover(&world, None, PASSWORD_ANEW).await.unwrap();
        assert_eq!((recovered.is_new, recovered.login.as_deref()), (true, Some("admin")));
        let answer = sign_in(&world, "admin", recovered.secret.expose_secret()).await;
        assert_eq!(answer.body["role"], "admin");
    }

    async fn another_master_key_opens_nothing(world) {
        let other = std::sync::Arc::new(muster_keyring::Keyring::derive(&muster_keyring::MasterKey::from_bytes([8; 32])));
        let app = &world.app;
        let refused = recover_in(&app.store, &other, &app.clock, &app.entropy, None, PASSWORD_ANEW).await;
        assert!(refused.unwrap_err().to_string().contains("master key"));
    }
}
