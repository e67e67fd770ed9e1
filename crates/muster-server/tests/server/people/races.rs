//! Two who act at once: somebody who can run the platform is always left.

use crate::people::scene::{Person, accept, admin, invite, items, join, remove, set_role, team};
use crate::world::{World, both};

async fn admins(world: &World, by: &Person) -> usize {
    let people = items(&by.must(world, "GET", "/v1/people", None).await);
    people.iter().filter(|person| person["role"] == "admin").count()
}

both! {
    async fn two_admins_who_demote_each_other_leave_one(world) {
        let (mut one, mut other) = (admin(&world).await, join(&world, &admin(&world).await, "second", "admin").await);
        for round in 0..6 {
            let (first, second) =
                tokio::join!(set_role(&world, &one, &other, "viewer"), set_role(&world, &other, &one, "viewer"));
            let won = [&first, &second].iter().filter(|answer| answer.status == 200).count();
            assert_eq!(won, 1, "round {round}: {first:?} {second:?}");
            if second.status == 200 {
                (one, other) = (other, one);
            }
            let lost = if first.status == 200 { second } else { first };
            // Whoever lost was demoted meanwhile, whichever check notices it first.
            assert_eq!(lost.status, 403, "round {round}: {lost:?}");
            assert_eq!(admins(&world, &one).await, 1);
            assert_eq!(set_role(&world, &one, &other, "admin").await.status, 200);
        }
    }

    /// Neither lock of a person is shared here: only the count inside the transaction keeps one.
    async fn two_admins_who_leave_at_once_leave_one(world) {
        let root = admin(&world).await;
        for round in 0..6 {
            let ops = team(&world, &format!("ops{round}")).await;
            let heir = join(&world, &ops.owner, &format!("heir{round}"), "owner").await;
            let (first, second) =
                tokio::join!(remove(&world, &ops.owner, &ops.owner), remove(&world, &heir, &heir));
            let mut statuses = [first.status, second.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409], "{first:?} {second:?}");
            let left = items(&root.in_team(&ops.id).must(&world, "GET", "/v1/people", None).await);
            assert_eq!(left.len(), 1, "{left:?}");
        }
        let second = join(&world, &root, "second", "admin").await;
        let (first, other) = tokio::join!(remove(&world, &root, &root), remove(&world, &second, &second));
        let lost = if first.status == 200 { &other } else { &first };
        lost.problem(409, "last_admin");
        let stayed = if first.status == 200 { &second } else { &root };
        assert_eq!(admins(&world, stayed).await, 1);
    }

    async fn an_invitation_accepted_twice_at_once_makes_one_person(world) {
        let root = admin(&world).await;
        for round in 0..4 {
            let invitation = invite(&world, &root, &format!("guest{round}"), "viewer").await;
            let logins = [format!("one{round}"), format!("two{round}")];
            let (first, second) =
                tokio::join!(accept(&world, &invitation, &logins[0], ""), accept(&world, &invitation, &logins[1], ""));
            let mut statuses = [first.status, second.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [201, 401], "{first:?} {second:?}");
        }
        assert_eq!(items(&root.must(&world, "GET", "/v1/people", None).await).len(), 5);
    }

    async fn two_who_want_one_login_get_an_answer_each(world) {
        let root = admin(&world).await;
        for round in 0..4 {
            let one = invite(&world, &root, &format!("one{round}"), "viewer").await;
            let two = invite(&world, &root, &format!("two{round}"), "viewer").await;
            let login = format!("wanted{round}");
            let (first, second) = tokio::join!(accept(&world, &one, &login, ""), accept(&world, &two, &login, ""));
            let lost = if first.status == 201 { &second } else { &first };
            lost.problem(409, "login_taken");
            // Nothing of the loser stayed: the invitation is still good.
            let unused = if first.status == 201 { &two } else { &one };
            assert_eq!(accept(&world, unused, &format!("other{round}"), "").await.status, 201);
        }
    }
}
