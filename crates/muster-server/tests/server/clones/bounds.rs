//! How much copies can make the server write.

use muster_ids::{ClaimId, HostId, KeyName, KeyThumbprint};
use muster_store::rows::ClaimRow;
use muster_store::{Priority, StoreError};
use muster_wire::claim::CopyCause;
use serde_json::json;

use crate::clones::scene::{Copied, claims, is_held, is_stale, joined, written};
use crate::world::{Joined, Machine, World, both};

const MOST: u128 = muster_domain::admission::CLAIMS_PER_SITE as u128;
const MOST_OF_HOST: u128 = muster_domain::clone::COPIES_PER_HOST as u128;

/// Fills the site: with claims like the one that waits on `host`, the first `of_host` of them on it, the others on hosts
/// of their own.
async fn fill(world: &World, host: &Joined, of_host: u128) {
    let claim = crate::clones::scene::the_claim(world, host).await;
    let id: ClaimId = claim["id"].as_str().unwrap().parse().unwrap();
    let insert = world.app.store.write(Priority::Normal, move |tx| {
        let team_id = tx.platform_team_id()?.unwrap();
        let like = tx.claim(team_id, id)?.unwrap();
        for n in 1..MOST {
            let number = uuid::Uuid::from_u128(n);
            let mut row = ClaimRow { id: ClaimId::from_uuid(number), ..like.clone() };
            if n >= of_host {
                row.host_id = Some(HostId::from_uuid(number));
            }
            let mut digest = [0; 32];
            digest[..16].copy_from_slice(&n.to_be_bytes());
            row.machine.key = KeyName::Pair(KeyThumbprint::from_digest(digest));
            assert!(tx.claim_insert(&row)?);
        }
        Ok::<_, StoreError>(())
    });
    insert.await.unwrap();
}

both! {
    /// Who has one key can make any number of keys and starts.
    async fn b16_copies_of_one_host_leave_room_for_the_others_of_its_site(world) {
        let (host, first, _) = joined(&world).await;
        let other = world.join("beta", json!({})).await;
        let mut copies = Vec::new();
        for n in 0..MOST_OF_HOST {
            copies.push(Copied::holding(&first, &format!("boot-{n}")));
            copies.last().unwrap().waits(&world, &host).await;
        }
        for n in 0..3 {
            let answer = Copied::holding(&first, &format!("boot-x{n}")).asks(&world, &host).await;
            answer.problem(503, "too_many_claims");
            is_stale(&world, &host, Some(&first), &format!("boot-y{n}")).await;
        }
        assert_eq!(claims(&world, &host, "waiting").await.len(), MOST_OF_HOST as usize);
        assert_eq!(world.events("claims.full").await, [host.host_id.to_string()], "one event, however many come");
        let counted = written(&world).await;
        Copied::holding(&first, "boot-z").asks(&world, &host).await.problem(503, "too_many_claims");
        assert_eq!(written(&world).await, counted, "and nothing more is written");
        copies[0].waits(&world, &host).await;
        // Everybody else is asked for as ever: who contests that very host, and the copies of others.
        let answer = Machine::new("alpha").enroll(&world, &world.site_key().await).await;
        assert_eq!((answer.status, &answer.body["reason"]), (202, &json!("collision")), "{answer:?}");
        let copy = Copied { cause: CopyCause::InstallIdDiffers, ..Copied::new("boot-a") };
        copy.waits(&world, &other).await;
        // An hour later it is told again.
        world.clock.advance(std::time::Duration::from_secs(3600));
        Copied::holding(&first, "boot-z").asks(&world, &host).await.problem(503, "too_many_claims");
        assert_eq!(world.events("claims.full").await.len(), 2);
    }

    async fn b16_a_site_has_at_most_200_claims_and_says_so_once(world) {
        let (host, first, _) = joined(&world).await;
        let before = Copied::holding(&first, "boot-0");
        before.waits(&world, &host).await;
        fill(&world, &host, 1).await;
        for n in 0..4 {
            let answer = Copied::holding(&first, &format!("boot-x{n}")).asks(&world, &host).await;
            answer.problem(503, "too_many_claims");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            is_stale(&world, &host, Some(&first), &format!("boot-y{n}")).await;
        }
        assert_eq!(claims(&world, &host, "waiting").await.len(), 1);
        assert_eq!(world.events("claims.full").await, [world.default_site().await], "one event, however many come");
        let counted = written(&world).await;
        is_stale(&world, &host, Some(&first), "boot-z").await;
        Copied::holding(&first, "boot-z").asks(&world, &host).await.problem(503, "too_many_claims");
        assert_eq!(written(&world).await, counted, "and nothing more is written");
        before.waits(&world, &host).await;
    }

    async fn b16_a_full_site_is_no_way_around_being_held(world) {
        let (host, first, current) = joined(&world).await;
        Copied::holding(&first, "boot-0").waits(&world, &host).await;
        fill(&world, &host, MOST_OF_HOST).await;
        world.clock.advance(std::time::Duration::from_secs(25 * 3600));
        is_stale(&world, &host, Some(&first), "boot-a").await;
        assert!(is_held(&world, &host).await);
        host.heartbeat(&world).await.problem(403, "host_held");
        drop(current);
        // Decided one by one, the last verdict frees it.
        while let Some(claim) = claims(&world, &host, "waiting").await.first() {
            let all = claims(&world, &host, "waiting").await;
            let decisions: Vec<_> = all
                .iter()
                .take(20)
                .map(|claim| {
                    json!({ "claim_id": claim["id"], "verdict": "reject", "evidence_version": claim["evidence_version"] })
                })
                .collect();
            assert!(is_held(&world, &host).await, "{claim}");
            world.must("POST", "/v1/claims/decisions", Some(json!({ "decisions": decisions }))).await;
        }
        assert!(!is_held(&world, &host).await);
        assert_eq!(host.heartbeat(&world).await.status, 200);
    }
}
