//! API tokens of people, without their secrets.

use muster_ids::TokenId;
use muster_store::rows::{OperatorTokenRow, PersonRow, ShownOperatorToken};
use muster_store::{Store, StoreError, Tx};
use muster_wire::page::Order;
use muster_wire::people::Role;
use muster_wire::permission::Permission;

use crate::backends::both;
use crate::rows::{at, team_id, told, user_id};

fn id(n: u32) -> TokenId {
    format!("{n:012}").parse().unwrap()
}

/// Token number `n` of person `owner`, made in second `n`.
pub(crate) fn token(n: u32, owner: u128) -> OperatorTokenRow {
    OperatorTokenRow {
        id: id(n),
        team_id: team_id(1),
        user_id: user_id(owner),
        verifier: [1; 32],
        name: Some(format!("token {n}")),
        scopes: Some(vec![Permission::SeeFleet, Permission::RunJobs]),
        bound_team_id: Some(team_id(2)),
        created_at: at(n.into()),
        expires_at: Some(at(100)),
        minted_with: None,
    }
}

fn begin(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for n in [1, 2] {
        let name = format!("person {n}");
        let (id, team_id, role, created_at) = (user_id(n), team_id(1), Role::Viewer, at(0));
        tx.person_insert(&PersonRow { id, team_id, name, role, created_at })?;
    }
    for (n, owner) in [(1, 1), (2, 2), (3, 1)] {
        tx.operator_token_insert(&token(n, owner))?;
    }
    Ok(())
}

fn ids(rows: &[ShownOperatorToken]) -> Vec<TokenId> {
    rows.iter().map(|row| row.id).collect()
}

both! {
    async fn what_a_token_made_is_told_from_the_rest(store: Store) {
        told(&store, |tx| {
            begin(tx)?;
            // 1 made 4, and 4 made 5 and 6; 3 is its owner's too, but of another line.
            for (n, with, end) in [(4, 1, 100), (5, 4, 100), (6, 4, 50)] {
                let minted_with = Some(id(with));
                tx.operator_token_insert(&OperatorTokenRow { minted_with, expires_at: Some(at(end)), ..token(n, 1) })?;
            }
            assert_eq!(tx.operator_tokens_minted_with(user_id(1), &id(4), at(49))?, [id(5), id(6)]);
            assert_eq!(tx.operator_tokens_minted_with(user_id(1), &id(4), at(50))?, [id(5)], "lapsed");
            assert_eq!(tx.operator_tokens_minted_with(user_id(2), &id(4), at(49))?, [], "somebody else's");
            assert!(tx.operator_token_revoke(user_id(1), &id(5), at(50))?);
            assert_eq!(tx.operator_tokens_minted_with(user_id(1), &id(4), at(50))?, []);
            let mut made_by = |owner, maker, order, after: Option<u32>, limit| {
                let after = after.map(|n| (at(n.into()), id(n)));
                let rows = tx.operator_tokens_made_by(user_id(owner), &id(maker), order, after, limit)?;
                Ok::<_, StoreError>(ids(&rows))
            };
            assert_eq!(made_by(1, 1, Order::Asc, None, 9)?, [id(1), id(4), id(5), id(6)]);
            assert_eq!(made_by(1, 4, Order::Asc, Some(4), 1)?, [id(5)]);
            assert_eq!(made_by(1, 1, Order::Desc, None, 9)?, [id(6), id(5), id(4), id(1)]);
            assert_eq!(made_by(1, 1, Order::Desc, Some(5), 1)?, [id(4)]);
            assert_eq!(made_by(2, 1, Order::Asc, None, 9)?, [], "somebody else's");
            assert_eq!(made_by(2, 1, Order::Desc, None, 9)?, [], "somebody else's");
            for (maker, made, expected) in [(1, 1, true), (1, 6, true), (4, 6, true), (4, 1, false), (1, 3, false)] {
                let is = tx.operator_token_is_made_by(user_id(1), &id(maker), &id(made))?;
                assert_eq!(is, expected, "{maker} {made}");
            }
            assert!(!tx.operator_token_is_made_by(user_id(2), &id(1), &id(4))?, "somebody else's");
            assert_eq!(tx.operator_tokens_made_since(user_id(1), at(0))?, 5, "revoked or not");
            assert_eq!(tx.operator_tokens_made_since(user_id(1), at(4))?, 2);
            assert_eq!(tx.operator_tokens_made_since(user_id(2), at(0))?, 1);
            Ok(())
        })
        .await;
    }

    async fn a_token_shows_what_it_was_made_with(store: Store) {
        told(&store, |tx| {
            begin(tx)?;
            let expected = ShownOperatorToken {
                id: id(1),
                user_id: user_id(1),
                team_id: team_id(1),
                user_name: "person 1".to_owned(),
                name: Some("token 1".to_owned()),
                scopes: Some(vec![Permission::SeeFleet, Permission::RunJobs]),
                bound_team_id: Some(team_id(2)),
                created_at: at(1),
                expires_at: Some(at(100)),
                revoked_at: None,
                last_used_at: None,
                last_used_from: None,
            };
            assert_eq!(tx.own_operator_token(user_id(1), &id(1))?, Some(expected.clone()));
            assert_eq!(tx.operator_token(team_id(1), &id(1))?, Some(expected.clone()));
            assert_eq!(tx.own_operator_token(user_id(2), &id(1))?, None, "somebody else's");
            assert_eq!(tx.operator_token(team_id(2), &id(1))?, None, "another team");
            tx.operator_token_used(&id(1), at(7), "192.0.2.1")?;
            tx.operator_token_used(&id(1), at(6), "192.0.2.2")?;
            let used = ShownOperatorToken {
                last_used_at: Some(at(7)), last_used_from: Some("192.0.2.1".to_owned()), ..expected };
            assert_eq!(tx.operator_token(team_id(1), &id(1))?, Some(used));
            Ok(())
        })
        .await;
    }

    async fn tokens_are_listed_by_owner_or_team_and_counted_while_good(store: Store) {
        told(&store, |tx| {
            begin(tx)?;
            // Made in the same moment: the id decides.
            tx.operator_token_insert(&OperatorTokenRow { created_at: at(3), ..token(4, 2) })?;
            let (oldest, newest) = (Order::Asc, Order::Desc);
            let after = |secs, n| Some((at(secs), id(n)));
            assert_eq!(ids(&tx.own_operator_tokens(user_id(1), oldest, None, 9)?), [id(1), id(3)]);
            assert_eq!(ids(&tx.own_operator_tokens(user_id(1), oldest, after(1, 1), 9)?), [id(3)]);
            assert_eq!(ids(&tx.own_operator_tokens(user_id(1), newest, None, 9)?), [id(3), id(1)]);
            assert_eq!(ids(&tx.own_operator_tokens(user_id(1), newest, after(3, 3), 9)?), [id(1)]);
            assert_eq!(ids(&tx.operator_tokens(team_id(1), oldest, None, 2)?), [id(1), id(2)]);
            assert_eq!(ids(&tx.operator_tokens(team_id(1), oldest, after(3, 3), 2)?), [id(4)]);
            assert_eq!(ids(&tx.operator_tokens(team_id(1), newest, None, 1)?), [id(4)]);
            assert_eq!(ids(&tx.operator_tokens(team_id(1), newest, after(3, 4), 2)?), [id(3), id(2)]);
            for order in [oldest, newest] {
                assert_eq!(ids(&tx.operator_tokens(team_id(2), order, None, 9)?), []);
            }
            assert_eq!(tx.operator_tokens_live(user_id(1), at(5))?, 2);
            assert!(!tx.operator_token_revoke(user_id(2), &id(1), at(5))?, "somebody else's");
            assert!(tx.operator_token_revoke(user_id(1), &id(1), at(5))?);
            assert!(!tx.operator_token_revoke(user_id(1), &id(1), at(6))?);
            assert_eq!(tx.operator_token(team_id(1), &id(1))?.unwrap().revoked_at, Some(at(5)));
            assert_eq!(tx.operator_tokens_live(user_id(1), at(5))?, 1);
            assert_eq!(tx.operator_tokens_live(user_id(1), at(100))?, 0, "lapsed");
            assert_eq!(tx.operator_tokens_forget(at(5), 9)?, 0);
            assert_eq!(tx.operator_tokens_forget(at(6), 9)?, 1, "the revoked one");
            assert_eq!(tx.operator_tokens_forget(at(101), 1)?, 1);
            assert_eq!(tx.operator_tokens_forget(at(101), 9)?, 2);
            Ok(())
        })
        .await;
    }
}
