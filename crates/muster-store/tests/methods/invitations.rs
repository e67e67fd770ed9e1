//! Invitations of people.

use muster_ids::{InvitationId, TokenId};
use muster_store::Store;
use muster_store::rows::InvitationRow;
use muster_wire::page::Order;
use muster_wire::people::Role;

use crate::backends::both;
use crate::rows::{at, team_id, told, user_id};

fn id(n: u32) -> InvitationId {
    format!("{n:012}").parse().unwrap()
}

/// Invitation number `n` of team 1, made in second `n`, good for 100 seconds.
pub(crate) fn invitation(n: u32) -> InvitationRow {
    InvitationRow {
        id: id(n),
        team_id: team_id(1),
        name: format!("guest {n}"),
        role: Role::Operator,
        verifier: vec![1, 2, 3],
        created_by: user_id(1).to_string(),
        minted_with: None,
        created_at: at(n.into()),
        expires_at: at(i64::from(n) + 100),
        revoked_at: None,
        accepted_at: None,
        accepted_by: None,
    }
}

fn token(n: u32) -> TokenId {
    format!("{n:012}").parse().unwrap()
}

both! {
    async fn what_was_invited_with_a_token_goes_with_it(store: Store) {
        told(&store, |tx| {
            for (n, team, with) in [(1, 1, 7), (2, 2, 7), (3, 1, 8), (4, 1, 7), (5, 1, 7)] {
                let (team_id, minted_with) = (team_id(team), Some(token(with)));
                tx.invitation_insert(&InvitationRow { team_id, minted_with, ..invitation(n) })?;
            }
            assert_eq!(tx.invitation_shown(&id(1))?.unwrap().minted_with, Some(token(7)));
            assert!(tx.invitation_accept(&id(5), user_id(9), at(101))?);
            assert!(tx.invitation_accept(&id(4), user_id(8), at(102))?);
            assert_eq!(tx.invitations_revoke_minted_with(&token(7), at(101))?, 1, "one lapsed, two were accepted");
            assert_eq!(tx.invitations_revoke_minted_with(&token(7), at(101))?, 0);
            assert_eq!(tx.invitation_shown(&id(2))?.unwrap().revoked_at, Some(at(101)));
            assert_eq!(tx.invitation_shown(&id(3))?.unwrap().revoked_at, None, "another token");
            assert_eq!(tx.invited_with(&token(7), 9)?, [user_id(9), user_id(8)]);
            assert_eq!(tx.invited_with(&token(7), 1)?, [user_id(9)]);
            assert_eq!(tx.invited_with(&token(8), 9)?, []);
            Ok(())
        })
        .await;
    }

    async fn an_invitation_is_accepted_once_in_its_time(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                tx.invitation_insert(&invitation(n))?;
            }
            assert_eq!(tx.invitation_shown(&id(1))?, Some(invitation(1)));
            assert_eq!(tx.invitation_shown(&id(9))?, None);
            assert!(!tx.invitation_accept(&id(1), user_id(7), at(101))?, "lapsed");
            assert!(tx.invitation_accept(&id(1), user_id(7), at(100))?);
            assert!(!tx.invitation_accept(&id(1), user_id(8), at(100))?, "once");
            let accepted = InvitationRow { accepted_at: Some(at(100)), accepted_by: Some(user_id(7)), ..invitation(1) };
            assert_eq!(tx.invitation(team_id(1), &id(1))?, Some(accepted));
            assert!(!tx.invitation_revoke(team_id(1), &id(1), at(100))?, "accepted");
            assert!(!tx.invitation_revoke(team_id(2), &id(2), at(5))?, "another team");
            assert!(tx.invitation_revoke(team_id(1), &id(2), at(5))?);
            assert!(!tx.invitation_revoke(team_id(1), &id(2), at(6))?);
            assert!(!tx.invitation_accept(&id(2), user_id(8), at(6))?, "revoked");
            assert!(!tx.invitation_revoke(team_id(1), &id(3), at(103))?, "lapsed");
            Ok(())
        })
        .await;
    }

    async fn invitations_of_a_team_are_listed_in_order_and_counted_while_open(store: Store) {
        told(&store, |tx| {
            for n in [3, 1, 2] {
                tx.invitation_insert(&invitation(n))?;
            }
            // Made in the same moment: the id decides.
            tx.invitation_insert(&InvitationRow { id: id(4), ..invitation(2) })?;
            let ids = |rows: Vec<InvitationRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
            let (oldest, newest) = (Order::Asc, Order::Desc);
            assert_eq!(ids(tx.invitations(team_id(1), oldest, None, 2)?), [id(1), id(2)]);
            assert_eq!(ids(tx.invitations(team_id(1), oldest, Some((at(2), id(2))), 9)?), [id(4), id(3)]);
            assert_eq!(ids(tx.invitations(team_id(1), newest, None, 2)?), [id(3), id(4)]);
            assert_eq!(ids(tx.invitations(team_id(1), newest, Some((at(2), id(4))), 9)?), [id(2), id(1)]);
            for order in [oldest, newest] {
                assert_eq!(ids(tx.invitations(team_id(2), order, None, 9)?), []);
            }
            assert_eq!(tx.invitation(team_id(2), &id(1))?, None);
            assert_eq!(tx.invitations_open(team_id(1), at(5))?, 4);
            assert_eq!(tx.invitations_open(team_id(2), at(5))?, 0);
            tx.invitation_revoke(team_id(1), &id(1), at(5))?;
            tx.invitation_accept(&id(4), user_id(7), at(5))?;
            assert_eq!(tx.invitations_open(team_id(1), at(5))?, 2);
            assert_eq!(tx.invitations_open(team_id(1), at(102))?, 1);
            assert_eq!(tx.invitations_forget(at(101), 9)?, 0);
            assert_eq!(tx.invitations_forget(at(103), 2)?, 2, "whatever became of them");
            assert_eq!(tx.invitations_forget(at(103), 9)?, 1);
            Ok(())
        })
        .await;
    }
}
