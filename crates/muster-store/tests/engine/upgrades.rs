//! A filled database of the version before: every row is there afterwards, and the indexes hold what they held.

use muster_store::{MIGRATIONS, Priority, Store, StoreError, Tx, params};
use uuid::Uuid;

use crate::backends::{Place, both};

const FACTS: &str = r#"{"os":"Debian 12","arch":"x86_64","cpu_cores":2,"memory_mb":2048,"disk_gb":40}"#;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// Inserts claim number `n` of key number `key` as version 2 did.
fn claim(tx: &mut Tx<'_>, n: u128, key: u32, state: &str) -> Result<u64, StoreError> {
    tx.execute(
        "INSERT INTO claim (id, team_id, site_id, ticket_id, host_id, reason, state, key_name, key_material, machine_uid,
                            hostname, facts, labels, source_address, created_at, expires_at, decided_at, decided_by,
                            result_host_id)
         VALUES ($1, $2, $3, 'T00000000001', $4, 'collision', $5, $6, $7, $8, 'web', $9, '{}', '192.0.2.7', 1, 2, $10,
                 $11, $12)
         ON CONFLICT DO NOTHING",
        params![
            id(n), id(1), id(2), id(3), state, format!("agk:{key:012}"), vec![7_u8; 65], format!("smbios:{n:032x}"),
            FACTS,
            (state != "waiting").then_some(5_i64), (state != "waiting").then_some("user_x"),
            (state == "new").then_some(id(9))
        ],
    )
}

fn fill(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.execute("INSERT INTO team VALUES ($1, 'acme', 0, $2, 1)", params![id(1), vec![1_u8]])?;
    tx.execute("INSERT INTO site VALUES ($1, $2, 'default', '{}', 1)", params![id(2), id(1)])?;
    tx.execute(
        "INSERT INTO host (id, team_id, site_id, kind, name, state, owns_uid, created_at)
         VALUES ($1, $2, $3, 'team', 'web', 'active', 0, 1)",
        params![id(3), id(1), id(2)],
    )?;
    for (n, key, state) in [(10, 1, "waiting"), (11, 2, "rejected"), (12, 3, "new"), (13, 3, "closed")] {
        assert_eq!(claim(tx, n, key, state)?, 1);
    }
    Ok(())
}

async fn write<T: Send + 'static>(
    store: &Store,
    closure: impl Fn(&mut Tx<'_>) -> Result<T, StoreError> + Send + Sync + 'static,
) -> T {
    store.write(Priority::Normal, closure).await.unwrap()
}

/// Everything of the claims that version 2 knew, oldest first.
fn claims(tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
    tx.query(
        "SELECT id, team_id, site_id, ticket_id, host_id, reason, state, key_name, key_material, machine_uid, hostname,
                facts, labels, source_address, created_at, expires_at, decided_at, decided_by, result_host_id
           FROM claim ORDER BY id",
        params![],
        |row| {
            let ids = (row.get::<Uuid>(0)?, row.get::<Uuid>(1)?, row.get::<Uuid>(2)?, row.get::<String>(3)?);
            let who = (row.get::<Option<Uuid>>(4)?, row.get::<String>(5)?, row.get::<String>(6)?);
            let key = (row.get::<String>(7)?, row.get::<Vec<u8>>(8)?, row.get::<String>(9)?);
            let said = (row.get::<String>(10)?, row.get::<String>(11)?, row.get::<String>(12)?, row.get::<String>(13)?);
            let when = (row.get::<i64>(14)?, row.get::<i64>(15)?, row.get::<Option<i64>>(16)?);
            let end = (row.get::<Option<String>>(17)?, row.get::<Option<Uuid>>(18)?);
            Ok(format!("{ids:?} {who:?} {key:?} {said:?} {when:?} {end:?}"))
        },
    )
}

both! {
    async fn claims_and_hosts_of_version_2_are_there_in_version_3(place: Place) {
        let store = place.open_with(&MIGRATIONS[..2]).await;
        write(&store, fill).await;
        let before = store.read(claims).await.unwrap();
        assert_eq!(before.len(), 4);
        store.close().await;
        let store = place.open().await;
        assert_eq!(store.read(claims).await.unwrap(), before);
        store.check().await.unwrap();
        let held = store.read(|tx| tx.query_one("SELECT held_at FROM host", params![], |row| row.get::<Option<i64>>(0)));
        assert_eq!(held.await.unwrap(), None);
        // What was unique is unique: a key has one open claim at a site, waiting or rejected, and any number of closed ones.
        assert_eq!(write(&store, |tx| claim(tx, 20, 1, "waiting")).await, 0);
        assert_eq!(write(&store, |tx| claim(tx, 21, 2, "waiting")).await, 0);
        assert_eq!(write(&store, |tx| claim(tx, 22, 3, "waiting")).await, 1);
        // And a claim may come without a ticket now.
        let bare = write(&store, |tx| {
            tx.execute("UPDATE claim SET ticket_id = NULL WHERE id = $1", params![id(22)])
        });
        assert_eq!(bare.await, 1);
    }
}
