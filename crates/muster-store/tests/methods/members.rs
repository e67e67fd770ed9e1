//! The people of a team, as others see them.

use muster_store::rows::{InvitationRow, OperatorTokenRow, PersonRow};
use muster_store::{Store, StoreError, Tx, params};
use muster_wire::people::Role;

use crate::backends::both;
use crate::rows::{at, team_id, told, user_id};

fn person(n: u128, role: Role) -> PersonRow {
    PersonRow { id: user_id(n), team_id: team_id(1), name: format!("person {n}"), role, created_at: at(0) }
}

/// Person 1 is an owner, 2 and 3 are viewers, all of team 1.
fn people(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for (n, role) in [(1, Role::Owner), (2, Role::Viewer), (3, Role::Viewer)] {
        assert!(tx.person_insert(&person(n, role))?);
    }
    Ok(())
}

both! {
    async fn members_are_those_of_the_team(store: Store) {
        told(&store, |tx| {
            people(tx)?;
            let ids = |rows: Vec<muster_store::rows::MemberRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
            assert_eq!(ids(tx.members(team_id(1), None, 2)?), [user_id(1), user_id(2)]);
            assert_eq!(ids(tx.members(team_id(1), Some(user_id(2)), 2)?), [user_id(3)]);
            assert_eq!(ids(tx.members(team_id(2), None, 9)?), []);
            assert_eq!(tx.member(team_id(2), user_id(1))?, None, "another team");
            let row = tx.member(team_id(1), user_id(1))?.unwrap();
            assert_eq!((row.name.as_str(), row.role, row.has_second_factor), ("person 1", Role::Owner, false));
            tx.second_factor_begin(user_id(1), &[1], at(1))?;
            assert!(!tx.member(team_id(1), user_id(1))?.unwrap().has_second_factor, "not confirmed");
            tx.second_factor_confirm(user_id(1), 1, at(1))?;
            assert!(tx.member(team_id(1), user_id(1))?.unwrap().has_second_factor);
            assert!(tx.member_is_named(team_id(1), "person 1")?);
            assert!(!tx.member_is_named(team_id(2), "person 1")?);
            Ok(())
        })
        .await;
    }

    async fn peers_are_the_others_of_a_role_who_are_still_there(store: Store) {
        told(&store, |tx| {
            people(tx)?;
            assert!(!tx.member_has_peers(team_id(1), Role::Owner, user_id(1))?);
            assert!(tx.member_has_peers(team_id(1), Role::Viewer, user_id(2))?);
            assert!(!tx.member_has_peers(team_id(2), Role::Viewer, user_id(2))?);
            assert!(tx.member_remove(team_id(1), user_id(3), "gone", at(1))?);
            assert!(!tx.member_has_peers(team_id(1), Role::Viewer, user_id(2))?);
            assert!(!tx.member_set_role(team_id(2), user_id(2), Role::Owner)?, "another team");
            assert!(!tx.member_set_role(team_id(1), user_id(3), Role::Owner)?, "removed");
            assert!(tx.member_set_role(team_id(1), user_id(2), Role::Owner)?);
            assert!(tx.member_has_peers(team_id(1), Role::Owner, user_id(1))?);
            Ok(())
        })
        .await;
    }

    async fn a_removed_person_keeps_a_tombstone_and_nothing_else(store: Store) {
        told(&store, |tx| {
            people(tx)?;
            tx.login_set(user_id(2), "ada")?;
            tx.password_set(user_id(2), "phc", at(1))?;
            tx.second_factor_begin(user_id(2), &[1], at(1))?;
            tx.recovery_codes_put(user_id(2), &[[1; 32], [2; 32]])?;
            tx.oidc_identity_set("https://id.example", "x", user_id(2), at(1))?;
            let lapsed = Some(at(5));
            for (n, owner, expires_at) in [("000000000001", 2, None), ("000000000002", 3, None), ("000000000003", 2, lapsed)] {
                tx.operator_token_insert(&OperatorTokenRow {
                    id: n.parse().unwrap(),
                    team_id: team_id(1),
                    user_id: user_id(owner),
                    verifier: [1; 32],
                    name: None,
                    scopes: None,
                    bound_team_id: None,
                    created_at: at(0),
                    expires_at, minted_with: None })?;
            }
            for (n, team, by) in [("000000000001", 1, 2), ("000000000002", 2, 2), ("000000000003", 1, 3)] {
                tx.invitation_insert(&InvitationRow {
                    id: n.parse().unwrap(),
                    team_id: team_id(team),
                    name: "guest".to_owned(),
                    role: Role::Viewer,
                    verifier: vec![1],
                    created_by: user_id(by).to_string(),
                    minted_with: None,
                    created_at: at(0),
                    expires_at: at(100),
                    revoked_at: None,
                    accepted_at: None,
                    accepted_by: None,
                })?;
            }
            assert!(!tx.member_remove(team_id(2), user_id(2), "gone", at(5))?, "another team");
            assert!(tx.member_remove(team_id(1), user_id(2), "gone", at(5))?);
            assert!(!tx.member_remove(team_id(1), user_id(2), "gone twice", at(6))?);
            assert_eq!(tx.member_revoke_tokens(user_id(2), at(5))?, 1, "the other one lapsed");
            assert_eq!(tx.member_revoke_invitations(user_id(2), at(5))?, 2, "in whatever team");
            assert_eq!(tx.member_revoke_invitations(user_id(3), at(100))?, 0, "lapsed by then");
            tx.member_forget_sign_in(user_id(2))?;
            let row = tx.member(team_id(1), user_id(2))?.unwrap();
            assert_eq!((row.name.as_str(), row.login, row.removed_at), ("gone", None, Some(at(5))));
            assert!(!row.has_second_factor);
            assert_eq!(tx.recovery_codes_left(user_id(2))?, 0);
            assert_eq!(tx.oidc_person("https://id.example", "x")?, None);
            assert!(tx.sign_in_of(user_id(2))?.unwrap().phc.is_none());
            assert_eq!(tx.members(team_id(1), None, 9)?.len(), 2);
            assert!(tx.people_exist()?);
            assert!(tx.person_insert(&PersonRow { name: "person 2".to_owned(), ..person(4, Role::Viewer) })?, "free");
            assert!(tx.login_set(user_id(4), "ada")?);
            let revoked: i64 = tx.query_one(
                "SELECT COUNT(*) FROM operator_token WHERE revoked_at IS NOT NULL", params![], |row| row.get(0))?;
            assert_eq!(revoked, 1);
            Ok(())
        })
        .await;
    }
}
