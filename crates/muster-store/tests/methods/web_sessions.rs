//! Signed-in sessions, and when credentials were last used.

use muster_ids::{AgentKeyId, KeyName, TokenId, WebSessionId};
use muster_store::rows::{OperatorTokenRow, PersonRow, WebSessionRow};
use muster_store::{Store, StoreError, Tx, params};
use muster_wire::people::Role;
use muster_wire::sign_in::SignInMethod;

use crate::backends::both;
use crate::rows::{at, host, host_key, key, team_id, told, user_id};

fn session_id(n: u32) -> WebSessionId {
    format!("{n:012}").parse().unwrap()
}

/// Session number `n` of person 1: made at `n`, good until `n` + 100.
fn session(n: u32) -> WebSessionRow {
    WebSessionRow {
        id: session_id(n),
        team_id: team_id(1),
        user_id: user_id(1),
        verifier: [7; 32],
        listener: "machines".to_owned(),
        method: SignInMethod::Password,
        source: "192.0.2.7".to_owned(),
        user_agent: "Lynx".to_owned(),
        created_at: at(n.into()),
        seen_at: at(n.into()),
        expires_at: at(i64::from(n) + 100),
    }
}

pub(crate) fn sessions(tx: &mut Tx<'_>, count: u32) -> Result<(), StoreError> {
    for n in [1, 2] {
        tx.person_insert(&PersonRow {
            id: user_id(n),
            team_id: team_id(1),
            name: format!("person {n}"),
            role: Role::Viewer,
            created_at: at(0),
        })?;
    }
    (1..=count).try_for_each(|n| tx.web_session_insert(&session(n)))
}

fn living(tx: &mut Tx<'_>, now: i64, idle_since: i64) -> Result<Vec<WebSessionId>, StoreError> {
    let rows = tx.web_sessions(user_id(1), at(now), at(idle_since))?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

both! {
    async fn the_living_sessions_of_one_person_are_listed(store: Store) {
        told(&store, |tx| {
            sessions(tx, 3)?;
            assert_eq!(tx.web_sessions(user_id(1), at(4), at(0))?, [session(3), session(2), session(1)]);
            assert_eq!(tx.web_sessions(user_id(2), at(4), at(0))?, []);
            assert_eq!(living(tx, 101, 0)?, [session_id(3), session_id(2)], "the first lapsed");
            assert_eq!(living(tx, 4, 2)?, [session_id(3)], "the others are idle");
            tx.web_session_used(&session_id(1), at(9))?;
            tx.web_session_used(&session_id(1), at(8))?;
            assert_eq!(living(tx, 10, 8)?, [session_id(1)]);
            Ok(())
        })
        .await;
    }

    async fn a_session_ends_once_and_for_its_owner_alone(store: Store) {
        told(&store, |tx| {
            sessions(tx, 3)?;
            assert!(!tx.web_session_end(user_id(2), &session_id(1), at(4))?);
            assert!(tx.web_session_end(user_id(1), &session_id(1), at(4))?);
            assert!(!tx.web_session_end(user_id(1), &session_id(1), at(5))?);
            assert!(!tx.web_session_end(user_id(1), &session_id(2), at(102))?, "it lapsed");
            assert_eq!(living(tx, 5, 0)?, [session_id(3), session_id(2)]);
            assert_eq!(tx.operator_by_web_session(&session_id(1))?.unwrap().ended_at, Some(at(4)));
            Ok(())
        })
        .await;
    }

    async fn all_sessions_but_one_end_together(store: Store) {
        told(&store, |tx| {
            sessions(tx, 3)?;
            assert_eq!(tx.web_sessions_end(user_id(2), None, at(4))?, []);
            assert_eq!(tx.web_sessions_end(user_id(1), Some(session_id(2)), at(4))?, [session_id(1), session_id(3)]);
            assert_eq!(living(tx, 5, 0)?, [session_id(2)]);
            assert_eq!(tx.web_sessions_end(user_id(1), None, at(5))?, [session_id(2)]);
            assert_eq!(tx.web_sessions_end(user_id(1), None, at(6))?, []);
            Ok(())
        })
        .await;
    }

    async fn sessions_that_began_up_to_a_time_end_together(store: Store) {
        told(&store, |tx| {
            sessions(tx, 3)?;
            assert_eq!(tx.web_sessions_end_until(user_id(2), at(9), at(9))?, 0);
            assert_eq!(tx.web_sessions_end_until(user_id(1), at(2), at(9))?, 2);
            assert_eq!(tx.web_sessions_end_until(user_id(1), at(2), at(9))?, 0);
            assert_eq!(living(tx, 9, 0)?, [session_id(3)]);
            assert_eq!(tx.web_sessions_end_until(user_id(1), at(9), at(103))?, 0, "it lapsed");
            Ok(())
        })
        .await;
    }

    async fn sessions_are_forgotten_long_after_they_lapsed(store: Store) {
        told(&store, |tx| {
            sessions(tx, 3)?;
            assert_eq!(tx.web_sessions_forget(at(101), 10)?, 0);
            assert_eq!(tx.web_sessions_forget(at(200), 2)?, 2);
            assert_eq!(tx.operator_by_web_session(&session_id(1))?, None);
            assert_eq!(tx.web_sessions_forget(at(200), 2)?, 1);
            Ok(())
        })
        .await;
    }

    async fn a_use_is_noted_and_never_backwards(store: Store) {
        told(&store, |tx| {
            sessions(tx, 0)?;
            let token_id: TokenId = "000000000001".parse().unwrap();
            tx.operator_token_insert(&OperatorTokenRow {
                id: token_id, team_id: team_id(1), user_id: user_id(1), verifier: [1; 32], name: None, scopes: None,
                bound_team_id: None, created_at: at(0), expires_at: None, minted_with: None })?;
            for (second, source) in [(2, "two"), (3, "three"), (1, "one")] {
                tx.operator_token_used(&token_id, at(second), source)?;
            }
            let used: (Option<i64>, Option<String>) = tx.query_one(
                "SELECT last_used_at, last_used_from FROM operator_token WHERE id = $1", params![token_id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            assert_eq!(used, (Some(at(3).as_millis()), Some("three".to_owned())));

            tx.host_insert(&host(1))?;
            tx.host_key_insert(&host_key(1, 1))?;
            let KeyName::Agent(key_id) = key(1) else { panic!("an agent key") };
            let key_id: AgentKeyId = key_id;
            for second in [2, 5, 4] {
                tx.agent_key_used(&key_id, at(second))?;
            }
            let used: (Option<i64>, Option<i64>) = tx.query_one(
                "SELECT first_used_at, last_used_at FROM host_key WHERE name = $1", params![key(1)],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            assert_eq!(used, (Some(at(2).as_millis()), Some(at(5).as_millis())));
            Ok(())
        })
        .await;
    }
}
