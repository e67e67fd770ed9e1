//! Login, password, second factor, recovery codes.

use muster_store::rows::{PersonRow, SecondFactorRow};
use muster_store::{Store, StoreError, Tx, params};
use muster_wire::people::Role;

use crate::backends::both;
use crate::rows::{at, told, user_id};

/// Persons 1 and 2 of team 1.
fn people(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for n in [1, 2] {
        tx.person_insert(&PersonRow {
            id: user_id(n),
            team_id: crate::rows::team_id(1),
            name: format!("person {n}"),
            role: Role::Operator,
            created_at: at(0),
        })?;
    }
    Ok(())
}

both! {
    async fn a_login_is_taken_once_and_stays(store: Store) {
        told(&store, |tx| {
            people(tx)?;
            assert_eq!(tx.sign_in_by_login("ada")?, None);
            assert!(tx.login_set(user_id(1), "ada")?);
            assert!(!tx.login_set(user_id(1), "ada2")?, "a login stays");
            assert!(!tx.login_set(user_id(2), "ada")?, "somebody has it");
            assert!(!tx.login_set(user_id(9), "nobody")?);
            tx.execute("UPDATE person SET removed_at = 7 WHERE id = $1", params![user_id(2)])?;
            assert!(!tx.login_set(user_id(2), "bob")?, "who is removed gets none");
            let ada = tx.sign_in_by_login("ada")?.unwrap();
            assert_eq!((ada.user_id, ada.role, ada.login.as_deref()), (user_id(1), Role::Operator, Some("ada")));
            assert_eq!((ada.phc, ada.second_factor, ada.removed_at), (None, None, None));
            assert_eq!(tx.sign_in_of(user_id(2))?.unwrap().removed_at, Some(muster_ids::Timestamp::from_millis(7)));
            assert_eq!(tx.sign_in_of(user_id(9))?, None);
            Ok(())
        })
        .await;
    }

    async fn a_password_is_set_and_hashed_anew(store: Store) {
        told(&store, |tx| {
            people(tx)?;
            tx.password_set(user_id(1), "one", at(1))?;
            tx.password_set(user_id(1), "two", at(2))?;
            assert!(!tx.password_rehash(user_id(1), "one", "three")?, "it is another one by now");
            assert!(tx.password_rehash(user_id(1), "two", "four")?);
            assert!(!tx.password_rehash(user_id(2), "two", "four")?);
            let row = tx.sign_in_of(user_id(1))?.unwrap();
            assert_eq!((row.phc.as_deref(), row.password_changed_at), (Some("four"), Some(at(2))));
            tx.person_signed_in(user_id(1), at(3))?;
            let signed_in: Option<i64> = tx.query_one(
                "SELECT signed_in_at FROM person WHERE id = $1", params![user_id(1)], |row| row.get(0))?;
            assert_eq!(signed_in, Some(at(3).as_millis()));
            Ok(())
        })
        .await;
    }

    async fn a_time_step_counts_once(store: Store) {
        told(&store, |tx| {
            people(tx)?;
            assert!(tx.second_factor_begin(user_id(1), b"first", at(1))?);
            assert!(!tx.second_factor_spend(user_id(1), 5)?, "it is not confirmed");
            assert!(tx.second_factor_begin(user_id(1), b"again", at(2))?);
            assert!(!tx.second_factor_confirm(user_id(2), 5, at(3))?);
            assert!(tx.second_factor_confirm(user_id(1), 5, at(3))?);
            assert!(!tx.second_factor_confirm(user_id(1), 6, at(4))?);
            assert!(!tx.second_factor_begin(user_id(1), b"other", at(4))?, "the confirmed one stays");
            assert!(!tx.second_factor_spend(user_id(1), 5)?, "the step that confirmed it is spent");
            assert!(tx.second_factor_spend(user_id(1), 7)?);
            assert!(!tx.second_factor_spend(user_id(1), 7)?);
            assert!(!tx.second_factor_spend(user_id(1), 6)?, "an older one neither");
            let factor = SecondFactorRow { sealed: b"again".to_vec(), confirmed_at: Some(at(3)), last_step: 7 };
            assert_eq!(tx.sign_in_of(user_id(1))?.unwrap().second_factor, Some(factor));
            Ok(())
        })
        .await;
    }

    async fn a_recovery_code_is_good_once(store: Store) {
        told(&store, |tx| {
            people(tx)?;
            tx.second_factor_begin(user_id(1), b"secret", at(1))?;
            tx.recovery_codes_put(user_id(1), &[[9; 32]])?;
            tx.recovery_codes_put(user_id(1), &[[1; 32], [2; 32]])?;
            assert!(!tx.recovery_code_use(user_id(1), &[9; 32], at(2))?, "new ones void the old");
            assert!(!tx.recovery_code_use(user_id(2), &[1; 32], at(2))?, "they are one person's");
            assert!(tx.recovery_code_use(user_id(1), &[1; 32], at(2))?);
            assert!(!tx.recovery_code_use(user_id(1), &[1; 32], at(3))?);
            assert_eq!((tx.recovery_codes_left(user_id(1))?, tx.recovery_codes_left(user_id(2))?), (1, 0));
            assert!(tx.second_factor_remove(user_id(1))?);
            assert!(!tx.second_factor_remove(user_id(1))?);
            assert_eq!(tx.recovery_codes_left(user_id(1))?, 0);
            Ok(())
        })
        .await;
    }

    async fn the_admins_of_the_platform_are_those_who_are_still_there(store: Store) {
        told(&store, |tx| {
            people(tx)?;
            assert_eq!(tx.platform_admins()?, []);
            tx.execute("UPDATE team SET is_platform = 1 WHERE id = $1", params![crate::rows::team_id(1)])?;
            tx.execute("UPDATE person SET role = 'admin'", params![])?;
            tx.execute("UPDATE person SET removed_at = 7 WHERE id = $1", params![user_id(2)])?;
            assert_eq!(tx.platform_admins()?, [(user_id(1), "person 1".to_owned())]);
            Ok(())
        })
        .await;
    }
}
