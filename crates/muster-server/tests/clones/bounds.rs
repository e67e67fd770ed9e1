//! How much copies can make the server write.

use muster_ids::{ClaimId, KeyName, KeyThumbprint};
use muster_store::rows::ClaimRow;
use muster_store::{Priority, StoreError};
use serde_json::json;

use crate::scene::{Copied, claims, is_held, is_stale, joined, written};
use crate::world::{Joined, World, both};

const MOST: u128 = muster_domain::admission::CLAIMS_PER_SITE as u128;

/// Fills the site with claims like the one that waits on `host`.
async fn fill(world: &World, host: &Joined) {
    let claim = crate::scene::the_claim(world, host).await;
    let id: ClaimId = claim["id"].as_str().unwrap().parse().unwrap();
    let insert = world.app.store.write(Priority::Normal, move |tx| {
        let team_id = tx.platform_team_id()?.unwrap();
        let like = tx.claim(team_id, id)?.unwrap();
        for n in 1..MOST {
            let mut row = ClaimRow { id: ClaimId::from_uuid(uuid::Uuid::from_u128(n)), ..like.clone() };
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
    async fn b16_a_site_has_at_most_200_claims_and_says_so_once(world) {
        let (host, first, _) = joined(&world).await;
        let before = Copied::holding(&first, "boot-0");
        before.waits(&world, &host).await;
        fill(&world, &host).await;
        for n in 0..4 {
            let answer = Copied::holding(&first, &format!("boot-x{n}")).asks(&world, &host).await;
            answer.problem(503, "too_many_claims");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            is_stale(&world, &host, Some(&first), &format!("boot-y{n}")).await;
        }
        assert_eq!(claims(&world, &host, "waiting").await.len(), MOST as usize);
        assert_eq!(world.events("claims.full").await.len(), 1, "one event, however many come");
        let counted = written(&world).await;
        is_stale(&world, &host, Some(&first), "boot-z").await;
        Copied::holding(&first, "boot-z").asks(&world, &host).await.problem(503, "too_many_claims");
        assert_eq!(written(&world).await, counted, "and nothing more is written");
        before.waits(&world, &host).await;
    }

    async fn b16_a_full_site_is_no_way_around_being_held(world) {
        let (host, first, current) = joined(&world).await;
        Copied::holding(&first, "boot-0").waits(&world, &host).await;
        fill(&world, &host).await;
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
                .take(100)
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
