//! Failed attempts: a flood fills neither the trail nor the events, and who fails again and again is named.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use muster_http::AddressBucket;
use muster_server::failed_attempts::AttemptKind;
use serde_json::{Value, json};

use crate::world::{World, both};

async fn failed(world: &World) -> Vec<Value> {
    world.audited("login.failed").await
}

fn count(entries: &[Value]) -> u64 {
    entries.iter().map(|entry| entry["details"]["count"].as_u64().unwrap()).sum()
}

both! {
    async fn a_flood_from_ten_thousand_addresses_adds_few_rows_and_loses_no_count(world) {
        for minute in 0..10_u32 {
            for n in 0..10_000_u32 {
                let address = IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 + (minute * 997 + n * 7) % 10_000));
                let (now, monotonic) = (world.app.clock.now(), world.app.clock.monotonic());
                world.app.attempts.note(AttemptKind::SignIn, AddressBucket(address), None, now, monotonic);
            }
            world.app.attempts.write_due(&world.app).await.unwrap();
            world.clock.advance(Duration::from_secs(60));
        }
        world.app.attempts.write_all(&world.app).await.unwrap();
        let entries = failed(&world).await;
        assert!(entries.len() < 100, "{}", entries.len());
        assert_eq!(count(&entries), 100_000);
        assert!(world.events("login.failed_repeatedly").await.len() < 100);
    }

    async fn failures_over_http_become_one_row_and_one_event(world) {
        for n in 0..300 {
            let headers = match n % 3 {
                0 => "authorization: Bearer <img src=x onerror=1>\r\n",
                1 => "authorization: Bearer mso_nonsense\r\n",
                _ => "authorization: Basic \u{1b}]0;x\r\n",
            };
            let answer = world.ask("GET", "/v1/me", headers, None).await;
            assert!(matches!(answer.status, 400 | 401), "{answer:?}");
        }
        world.app.attempts.write_due(&world.app).await.unwrap();
        let entries = failed(&world).await;
        assert_eq!(entries.len(), 1, "{entries:?}");
        let entry = &entries[0];
        assert_eq!((&entry["target"], &entry["source"], &entry["outcome"]), (&json!("token"), &json!("127.0.0.1"), &json!("refused")));
        assert!(count(&entries) >= 200, "{entry}");
        assert_eq!(world.events("login.failed_repeatedly").await, ["127.0.0.1"]);
        world.app.attempts.write_all(&world.app).await.unwrap();
        assert_eq!(failed(&world).await.len(), 1, "nothing is written twice");
    }

    async fn the_owner_of_a_credential_is_named(world) {
        let me = world.must("GET", "/v1/me", None).await["user_id"].as_str().unwrap().to_owned();
        let minted = world.must("POST", "/v1/me/tokens", Some(json!({ "name": "ci" }))).await;
        let id = minted["api_token"]["id"].as_str().unwrap();
        world.must("POST", &format!("/v1/tokens/{id}/revoke"), None).await;
        let bearer = format!("authorization: Bearer {}\r\n", minted["token"].as_str().unwrap());
        for _ in 0..25 {
            assert_eq!(world.ask("GET", "/v1/me", &bearer, None).await.status, 401);
        }
        world.app.attempts.write_due(&world.app).await.unwrap();
        assert_eq!(failed(&world).await[0]["target"], json!(me));
        let mut told = world.events("login.failed_repeatedly").await;
        told.sort();
        assert_eq!(told, ["127.0.0.1".to_owned(), me]);
    }
}
