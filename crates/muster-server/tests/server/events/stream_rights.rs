//! Streams end with the right to them, and are no way to use a server up.

use std::time::Duration;

use muster_ids::{Bearer, TokenId};
use muster_server::effects::Ended;
use muster_server::unit::{Author, Fact};
use muster_store::{Priority, params};
use muster_wire::happening::Happening;
use serde_json::json;

use crate::events::stream::Sse;
use crate::world::{Team, World, both, until};

fn token_id(token: &str) -> TokenId {
    TokenId::new(Bearer::parse(token).unwrap().id)
}

/// Takes the token away as a route does; without `told`, as another node does.
async fn revoke(world: &World, team: &Team, told: bool) {
    let id = token_id(&team.token);
    world
        .app
        .change(Priority::Urgent, world.app.clock.now(), move |unit| {
            unit.tx
                .execute("UPDATE operator_token SET revoked_at = $1 WHERE id = $2", params![unit.now, id])?;
            if told {
                unit.effects.ended.push(Ended::Token(id));
            }
            Ok(())
        })
        .await
        .unwrap();
}

both! {
    async fn a_revoked_token_s_stream_is_cut_before_the_reply(world) {
        let team = world.team("other").await;
        let mut stream = Sse::open(&world, &team.token, "?kind=host.back", None).await;
        world.tell(team.id, None, "before").await;
        world.seal().await;
        assert_eq!(stream.next().await.unwrap().data["subject"], "before");
        assert_eq!(world.app.streams.len(), 1);
        revoke(&world, &team, true).await;
        assert!(world.app.streams.is_empty(), "the stream is closed when the revocation is answered");
        world.tell(team.id, None, "after").await;
        world.seal().await;
        assert!(stream.next().await.is_none());
        assert_eq!(stream.asides, ["retry: 2000", "retry: 2000"]);
        assert_eq!(Sse::open(&world, &team.token, "", None).await.status(), 401);
    }

    async fn a_reader_that_does_not_read_does_not_hold_the_revocation_up(world) {
        let team = world.team("other").await;
        let _stream = Sse::open(&world, &team.token, "", None).await;
        // More than sockets hold.
        for _ in 0..10 {
            let (team_id, now) = (team.id, world.app.clock.now());
            let told = world.app.change(Priority::Normal, now, move |unit| {
                for n in 0..100 {
                    let fact = Fact::new(Happening::HostBack, team_id, &Author::system(), n);
                    unit.happened(fact.details(json!({ "text": "x".repeat(16 * 1024) })));
                }
                Ok(())
            });
            told.await.unwrap();
        }
        world.seal().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::time::timeout(Duration::from_secs(1), revoke(&world, &team, true)).await.unwrap();
        assert!(world.app.streams.is_empty());
    }

    async fn a_right_that_ended_elsewhere_tells_not_one_event_more(world) {
        let team = world.team("other").await;
        let mut stream = Sse::open(&world, &team.token, "", None).await;
        revoke(&world, &team, false).await;
        world.tell(team.id, None, "after").await;
        world.seal().await;
        assert!(stream.next().await.is_none());
    }

    async fn a_person_has_a_bounded_number_of_streams(world) {
        let mut open = Vec::new();
        for _ in 0..32 {
            open.push(Sse::open(&world, &world.admin, "", None).await);
        }
        assert!(open.iter().all(|stream| stream.status() == 200));
        let headers = format!("authorization: Bearer {}\r\n", world.admin);
        let refused = world.ask("GET", "/v1/events/stream", &headers, None).await;
        refused.problem(503, "too_many_streams");
        assert!(refused.header("retry-after").is_some());
        // A client that went frees its place.
        drop(open);
        until("every place is free", async || world.app.streams.is_empty()).await;
        assert_eq!(Sse::open(&world, &world.admin, "", None).await.status(), 200);
    }

    async fn a_server_that_stops_ends_its_streams_with_a_hint(world) {
        let mut stream = Sse::open(&world, &world.admin, "", None).await;
        until("the stream is open", async || world.app.streams.len() == 1).await;
        world.app.streams.end_all();
        assert!(stream.next().await.is_none());
        assert_eq!(stream.asides.last().unwrap(), "retry: 2000");
        assert_eq!(Sse::open(&world, &world.admin, "", None).await.status(), 503);
    }

    async fn nobody_listens_without_the_right_to(world) {
        let refused = world.ask("GET", "/v1/events/stream", "", None).await;
        refused.problem(401, "unauthorized");
    }
}
