//! What the sealer promises: one order, one chain, no place given twice.

use muster_ids::{AuditId, TeamId};
use muster_server::reconcile;
use muster_server::unit::{Author, Fact};
use muster_store::rows::AuditRow;
use muster_store::{Priority, StoreError, Tx, params};
use muster_wire::happening::Happening;
use serde_json::json;

use crate::world::{World, both};

/// Lets `count` things happen that are recorded and told, in one transaction, numbered from `first`.
pub(crate) async fn act(world: &World, first: u32, count: u32) {
    let change = world.app.change(Priority::Normal, world.app.clock.now(), move |unit| {
        let team_id: TeamId = unit.tx.platform_team_id()?.unwrap();
        for n in first..first + count {
            let fact = Fact::new(Happening::KeyRotated, team_id, &Author::system(), n);
            unit.happened(fact.details(json!({ "n": n })));
        }
        Ok(())
    });
    change.await.unwrap();
}

pub(crate) async fn seal(world: &World) {
    world.seal().await;
}

/// Does to the database what only somebody with its password can.
pub(crate) async fn meddle(world: &World, sql: &'static str) {
    let write = world.app.store.write(Priority::Normal, move |tx: &mut Tx<'_>| tx.execute(sql, params![]));
    assert!(write.await.unwrap() > 0, "{sql}");
}

async fn positions(world: &World, sql: &'static str) -> Vec<(i64, String)> {
    let read = world.app.look(move |tx| tx.query(sql, params![], |row| Ok((row.get(0)?, row.get(1)?))));
    read.await.unwrap()
}

pub(crate) async fn trail(world: &World) -> Vec<(i64, String)> {
    positions(world, "SELECT position, action FROM audit WHERE position IS NOT NULL ORDER BY position").await
}

/// Follows the chain as the database holds it and returns the positions at which it is broken.
async fn breaks(world: &World) -> Vec<i64> {
    let read = world.app.look(|tx| {
        tx.query(
            "SELECT position, mac, id, team_id, at, actor, source, action, target, outcome, details, role, changed, host_id
               FROM audit
              WHERE position IS NOT NULL ORDER BY position",
            params![],
            |row| {
                let at: i64 = row.get(4)?;
                let mut fields = vec![
                    row.get::<muster_ids::AuditId>(2)?.to_string(),
                    row.get::<TeamId>(3)?.to_string(),
                    at.to_string(),
                ];
                for column in 5..=10 {
                    fields.push(row.get(column)?);
                }
                for column in 11..=12 {
                    fields.push(format!("+{}", row.get::<String>(column)?));
                }
                let host_id = row.get::<Option<muster_ids::HostId>>(13)?;
                fields.push(host_id.map_or_else(|| "-".to_owned(), |host_id| format!("+{host_id}")));
                let mut text = Vec::new();
                for field in fields {
                    text.extend((field.len() as u64).to_be_bytes());
                    text.extend(field.into_bytes());
                }
                Ok::<_, StoreError>((row.get::<i64>(0)?, row.get::<[u8; 32]>(1)?, text))
            },
        )
    });
    let (mut before, mut last, mut broken) = ([0; 32], 0, Vec::new());
    for (position, mac, text) in read.await.unwrap() {
        if position != last + 1 || mac != world.app.keyring.audit_mac(&before, position, &text) {
            broken.push(position);
        }
        (before, last) = (mac, position);
    }
    broken
}

async fn platform(world: &World) -> TeamId {
    world.app.look(|tx| tx.platform_team_id()).await.unwrap().unwrap()
}

/// A row as the server would write it.
fn written_row(world: &World, team_id: TeamId) -> AuditRow {
    let now = world.app.clock.now();
    let id = world.app.entropy.uuid(now);
    AuditRow {
        id: AuditId::from_uuid(id),
        team_id,
        at: now,
        actor: "system".to_owned(),
        role: Some(String::new()),
        source: "-".to_owned(),
        action: "key.rotated".to_owned(),
        target: "1".to_owned(),
        outcome: "ok".to_owned(),
        changed: Some("[]".to_owned()),
        host_id: None,
        details: "{}".to_owned(),
    }
}

both! {
    async fn what_one_transaction_did_is_told_in_its_order(world) {
        act(&world, 1, 20).await;
        seal(&world).await;
        let done: Vec<_> = world.audited("key.rotated").await.iter().map(|entry| entry["target"].clone()).collect();
        assert_eq!(done, (1..=20).map(|n| json!(n.to_string())).collect::<Vec<_>>());
        let told = positions(&world, "SELECT position, subject FROM outbox WHERE kind = 'key.rotated' ORDER BY position").await;
        let subjects: Vec<_> = told.iter().map(|(_, subject)| subject.clone()).collect();
        assert_eq!(subjects, (1..=20).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(breaks(&world).await, [0i64; 0]);
    }

    async fn a_clock_that_steps_back_keeps_nothing_waiting(world) {
        seal(&world).await;
        act(&world, 1, 1).await;
        seal(&world).await;
        world.clock.set_wall(muster_ids::Timestamp::from_millis(1));
        act(&world, 2, 1).await;
        assert_eq!(reconcile::seal(&world.app).await.unwrap(), 1);
    }

    async fn the_chain_covers_the_text_and_not_its_meaning(world) {
        let row = AuditRow { details: r#"{ "n" : 1.0 }"#.to_owned(), ..written_row(&world, platform(&world).await) };
        let written = world.app.keyring.audit_written(&row.chained_text());
        let write = world.app.store.write(Priority::Normal, move |tx: &mut Tx<'_>| tx.audit_insert(&row, &written));
        write.await.unwrap();
        seal(&world).await;
        assert_eq!(breaks(&world).await, [0i64; 0], "sealed over another text than is stored");
        assert_eq!(world.audited("key.rotated").await[0]["details"], json!({ "n": 1.0 }));
        // The same document in other words is another text.
        meddle(&world, r#"UPDATE audit SET details = '{"n":1.0}' WHERE action = 'key.rotated'"#).await;
        assert_eq!(breaks(&world).await.len(), 1);
    }

    async fn a_tail_that_is_cut_off_stays_missing_and_is_told(world) {
        act(&world, 1, 5).await;
        seal(&world).await;
        let last = trail(&world).await.last().unwrap().0;
        meddle(&world, "DELETE FROM audit WHERE target IN ('4', '5')").await;
        act(&world, 6, 1).await;
        seal(&world).await;
        let trail = trail(&world).await;
        let end: Vec<_> = trail[trail.len() - 3..].to_vec();
        let [cut, after, word] = &end[..] else { unreachable!() };
        assert_eq!(*cut, (last - 2, "key.rotated".to_owned()), "the places of what is gone are given again: {trail:?}");
        assert_eq!(*after, (last + 1, "key.rotated".to_owned()), "{trail:?}");
        assert_eq!(*word, (last + 2, "audit.broken".to_owned()), "{trail:?}");
        let record = world.audited("audit.broken").await;
        assert_eq!(record[0]["details"], json!({ "left_at": last, "found_at": last - 2, "inserted": 0 }));
        assert_eq!(world.events("audit.broken").await, ["audit"]);
        assert_eq!(breaks(&world).await, [last + 1], "what came later cannot close the gap");
        act(&world, 7, 1).await;
        seal(&world).await;
        assert_eq!(world.events("audit.broken").await.len(), 1, "told once");
    }

    async fn a_trail_that_is_emptied_does_not_begin_again(world) {
        act(&world, 1, 3).await;
        seal(&world).await;
        let last = trail(&world).await.last().unwrap().0;
        meddle(&world, "DELETE FROM audit").await;
        act(&world, 4, 1).await;
        seal(&world).await;
        assert_eq!(trail(&world).await[0].0, last + 1);
        assert_eq!(world.events("audit.broken").await.len(), 1);
    }

    async fn a_row_that_was_slipped_in_is_told(world) {
        act(&world, 1, 1).await;
        seal(&world).await;
        let last = trail(&world).await.last().unwrap().0;
        act(&world, 2, 1).await;
        meddle(&world, "UPDATE audit SET position = 500, mac = (SELECT mac FROM audit WHERE position = 1) WHERE target = '2'").await;
        act(&world, 3, 1).await;
        seal(&world).await;
        let record = world.audited("audit.broken").await;
        assert_eq!(record[0]["details"], json!({ "left_at": last, "found_at": 500, "inserted": 0 }));
        assert!(breaks(&world).await.contains(&500));
    }

    async fn two_sealers_give_each_place_once(world) {
        seal(&world).await;
        for round in 0..5 {
            act(&world, round * 40, 40).await;
            let (one, two) = tokio::join!(reconcile::seal(&world.app), reconcile::seal(&world.app));
            assert_eq!(one.unwrap() + two.unwrap(), 40);
        }
        assert_eq!(breaks(&world).await, [0i64; 0]);
    }
}
