//! Providers of OpenID Connect, and who came by them.

use muster_ids::TeamId;
use muster_store::Store;
use muster_store::rows::{IssuerSignOutRow, OidcPersonRow, OidcProviderRow, PersonRow};
use muster_wire::oidc::OidcMapping;
use muster_wire::people::Role;

use crate::backends::both;
use crate::rows::{at, team_id as team_number, told, user_id as user};

fn provider(name: &str) -> OidcProviderRow {
    OidcProviderRow {
        name: name.to_owned(),
        issuer: "https://issuer.example".to_owned(),
        client_id: "muster".to_owned(),
        sealed_secret: vec![1, 2, 3],
        scopes: vec!["profile".to_owned()],
        groups_claim: "groups".to_owned(),
        mappings: vec![OidcMapping { group: "ops".parse().unwrap(), team_id: team_id(), role: Role::Viewer }],
        allowed: true,
        created_at: at(1),
        updated_at: at(1),
    }
}

fn team_id() -> TeamId {
    team_number(1)
}

fn person(n: u128) -> PersonRow {
    PersonRow {
        id: user(n),
        team_id: team_id(),
        name: format!("person {n}"),
        role: Role::Operator,
        created_at: at(1),
    }
}

both! {
    async fn a_provider_is_set_whole_and_keeps_when_it_was_made(store: Store) {
        told(&store, |tx| {
            assert_eq!(tx.oidc_providers()?, []);
            tx.oidc_provider_set(&provider("b"))?;
            tx.oidc_provider_set(&provider("a"))?;
            assert_eq!(tx.oidc_providers()?, [provider("a"), provider("b")]);
            let changed = OidcProviderRow {
                issuer: "https://other.example".to_owned(),
                sealed_secret: vec![9],
                mappings: Vec::new(),
                allowed: false,
                created_at: at(7),
                updated_at: at(7),
                ..provider("a")
            };
            tx.oidc_provider_set(&changed)?;
            assert_eq!(tx.oidc_provider("a")?, Some(OidcProviderRow { created_at: at(1), ..changed }));
            assert_eq!(tx.oidc_provider("b")?, Some(provider("b")));
            assert!(tx.oidc_provider_remove("a")?);
            assert!(!tx.oidc_provider_remove("a")?);
            assert_eq!(tx.oidc_provider("a")?, None);
            Ok(())
        })
        .await;
    }

    async fn a_sign_out_is_worked_off_from_where_it_stands(store: Store) {
        told(&store, |tx| {
            let row = |issuer: &str, secs| IssuerSignOutRow {
                issuer: issuer.to_owned(),
                provider: "corp".to_owned(),
                actor: user(9).to_string(),
                role: Some(Role::Admin),
                source: "192.0.2.1".to_owned(),
                asked_at: at(secs),
                after_user: None,
            };
            assert_eq!(tx.issuer_sign_out("https://a.example")?, None);
            tx.issuer_sign_out_insert(&row("https://a.example", 2))?;
            tx.issuer_sign_out_insert(&row("https://b.example", 1))?;
            tx.issuer_sign_out_went_on("https://a.example", user(4))?;
            let on = IssuerSignOutRow { after_user: Some(user(4)), ..row("https://a.example", 2) };
            assert_eq!(tx.issuer_sign_out("https://a.example")?, Some(on.clone()));
            assert_eq!(tx.issuer_sign_outs(9)?, [row("https://b.example", 1), on]);
            assert_eq!(tx.issuer_sign_outs(1)?, [row("https://b.example", 1)]);
            tx.issuer_sign_out_insert(&row("https://a.example", 3))?;
            assert_eq!(tx.issuer_sign_out("https://a.example")?, Some(row("https://a.example", 3)), "anew");
            tx.issuer_sign_out_done("https://a.example")?;
            assert_eq!(tx.issuer_sign_outs(9)?, [row("https://b.example", 1)]);
            assert!(!tx.oidc_issuer_is_known("https://issuer.example")?);
            tx.oidc_provider_set(&provider("a"))?;
            assert!(tx.oidc_issuer_is_known("https://issuer.example")?);
            Ok(())
        })
        .await;
    }

    async fn a_subject_of_an_issuer_is_one_person_at_a_time(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                assert!(tx.person_insert(&person(n))?);
            }
            assert_eq!(tx.oidc_person("https://a.example", "sub")?, None);
            tx.oidc_identity_set("https://a.example", "sub", user(2), at(2))?;
            tx.oidc_identity_set("https://b.example", "sub", user(1), at(2))?;
            tx.oidc_identity_set("https://a.example", "other", user(1), at(2))?;
            let known = OidcPersonRow { user_id: user(2), team_id: team_id(), role: Role::Operator, removed_at: None };
            assert_eq!(tx.oidc_person("https://a.example", "sub")?, Some(known.clone()));
            assert_eq!(tx.oidc_person("https://a.example/", "sub")?, None, "to the letter");
            assert_eq!(tx.oidc_person("https://a.example", "SUB")?, None, "to the letter");
            let team = team_id();
            assert_eq!(tx.oidc_people("https://a.example", None, 9)?, [(user(1), team), (user(2), team)]);
            assert_eq!(tx.oidc_people("https://a.example", None, 1)?, [(user(1), team)]);
            assert_eq!(tx.oidc_people("https://a.example", Some(user(1)), 9)?, [(user(2), team)]);
            tx.oidc_identity_set("https://a.example", "third", user(1), at(2))?;
            assert_eq!(tx.oidc_people("https://a.example", None, 9)?.len(), 2, "each once");
            assert!(tx.oidc_knows(user(1))? && !tx.oidc_knows(user(3))?);
            tx.oidc_identity_set("https://a.example", "sub", user(3), at(3))?;
            assert_eq!(tx.oidc_person("https://a.example", "sub")?, Some(OidcPersonRow { user_id: user(3), ..known }));
            assert!(tx.member_remove(team_id(), user(3), "gone", at(4))?);
            assert_eq!(tx.oidc_person("https://a.example", "sub")?.unwrap().removed_at, Some(at(4)));
            assert_eq!(tx.oidc_people("https://a.example", None, 9)?, [(user(1), team)]);
            Ok(())
        })
        .await;
    }
}
