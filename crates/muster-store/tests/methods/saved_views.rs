//! Saved views.

use muster_ids::UserId;
use muster_store::Store;
use muster_store::rows::{PersonRow, SavedViewRow};
use muster_wire::people::Role;

use crate::backends::both;
use crate::rows::{NOW, at, team_id, told, user_id};

fn person(n: u128) -> PersonRow {
    PersonRow {
        id: user_id(n),
        team_id: team_id(1),
        name: format!("p{n}"),
        role: Role::Owner,
        created_at: NOW,
    }
}

fn view(name: &str, query: &str) -> SavedViewRow {
    SavedViewRow { name: name.to_owned(), query: query.to_owned(), updated_at: at(1) }
}

both! {
    async fn a_view_is_of_one_person_in_one_team(store: Store) {
        told(&store, |tx| {
            let (ada, bob): (UserId, UserId) = (user_id(1), user_id(2));
            for n in [1, 2] {
                tx.person_insert(&person(n))?;
            }
            tx.saved_view_set(ada, team_id(1), &view("b", "state=active"))?;
            tx.saved_view_set(ada, team_id(1), &view("a", "tag=x"))?;
            tx.saved_view_set(ada, team_id(2), &view("a", "tag=y"))?;
            let later = SavedViewRow { updated_at: at(2), ..view("b", "state=retired") };
            tx.saved_view_set(ada, team_id(1), &later)?;
            assert_eq!(tx.saved_views(ada, team_id(1), 9)?, [view("a", "tag=x"), later]);
            assert_eq!(tx.saved_views(ada, team_id(1), 1)?.len(), 1);
            assert_eq!(tx.saved_views(bob, team_id(1), 9)?, []);
            assert!(!tx.saved_view_remove(bob, team_id(1), "a")?);
            assert!(tx.saved_view_remove(ada, team_id(1), "a")?);
            assert!(!tx.saved_view_remove(ada, team_id(1), "a")?);
            assert_eq!(tx.saved_views_remove(ada)?, 2);
            assert_eq!(tx.saved_views(ada, team_id(2), 9)?, []);
            Ok(())
        })
        .await;
    }
}
