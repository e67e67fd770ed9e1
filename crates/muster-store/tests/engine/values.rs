//! What goes in comes out, the same on both databases.

use muster_ids::{HostId, KeyName, MachineUid, TicketId, Timestamp};
use muster_store::{Json, Priority, Row, StoreError, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ENTRIES;
use crate::backends::{Place, both};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Label {
    words: Vec<String>,
}

#[expect(clippy::needless_pass_by_value, reason = "the calls read better")]
fn corrupt<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Corrupt { .. })), "{result:?}");
}

both! {
    async fn every_kind_comes_back_as_it_went(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let owner = HostId::from_uuid(Uuid::from_u128(0x0123_4567_89ab_7def_8123_4567_89ab_cdef));
        let label = Label { words: vec!["é\"\\".to_owned(), String::new()] };
        let expected = label.clone();
        let write = store.write(Priority::Urgent, move |tx| {
            tx.execute(
                "INSERT INTO entry (name, amount, owner, picture) VALUES ($1, $2, $3, $4)",
                params![Json(&label), i64::MIN, owner, [0u8, 255, 10]],
            )
        });
        assert_eq!(write.await.unwrap(), 1);
        let read = store.read(move |tx| {
            tx.query_one(
                "SELECT name, amount, owner, picture FROM entry WHERE owner = $1 AND picture = $2",
                params![owner, vec![0u8, 255, 10]],
                |row| {
                    Ok((
                        row.get::<Json<Label>>(0)?.0,
                        row.get::<i64>(1)?,
                        row.get::<HostId>(2)?,
                        row.get::<Option<Vec<u8>>>(3)?,
                    ))
                },
            )
        });
        assert_eq!(read.await.unwrap(), (expected, i64::MIN, owner, Some(vec![0, 255, 10])));
    }

    async fn null_is_none_and_nothing_else(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let write = store.write(Priority::Normal, |tx| {
            let sql = "INSERT INTO entry (name, owner, picture) VALUES ($1, $2, $3) RETURNING owner, picture";
            let nothing = params!["a", None::<HostId>, None::<Vec<u8>>];
            tx.query_one(sql, nothing, |row| {
                corrupt(row.get::<HostId>(0));
                corrupt(row.get::<Vec<u8>>(1));
                Ok((row.get::<Option<HostId>>(0)?, row.get::<Option<Vec<u8>>>(1)?))
            })
        });
        assert_eq!(write.await.unwrap(), (None, None));
    }

    async fn ids_times_and_facts_are_text_and_integers(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let ticket: TicketId = "0123456789ab".parse().unwrap();
        let key: KeyName = "agk:0123456789ab".parse().unwrap();
        let uid: MachineUid = "smbios:0123456789abcdef0123456789abcdef".parse().unwrap();
        let now = Timestamp::from_millis(1_700_000_000_123);
        let read = store.read(move |tx| {
            let sql = "SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT),
                              CAST($5 AS BIGINT), 1 = 1, CAST($6 AS BIGINT)";
            tx.query_one(sql, params![ticket, key, uid, now, true, 7u16], |row| {
                assert_eq!(row.get::<TicketId>(0)?, ticket);
                assert_eq!(row.get::<KeyName>(1)?, key);
                assert_eq!(row.get::<MachineUid>(2)?, uid);
                assert_eq!(row.get::<Timestamp>(3)?, now);
                assert!(row.get::<bool>(4)?);
                assert!(row.get::<bool>(5)?);
                assert_eq!(row.get::<u16>(6)?, 7);
                Ok(())
            })
        });
        read.await.unwrap();
    }

    async fn what_does_not_fit_is_corrupt_and_never_printed(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let read = store.read(|tx| {
            let sql = "SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS BYTES_T)";
            tx.query_one(sql, params!["sesame", 300, [1u8]], |row: &Row<'_>| {
                corrupt(row.get::<i64>(0));
                corrupt(row.get::<TicketId>(0));
                corrupt(row.get::<Json<Label>>(0));
                corrupt(row.get::<u8>(1));
                corrupt(row.get::<bool>(1));
                corrupt(row.get::<HostId>(2));
                corrupt(row.get::<String>(2));
                assert!(row.get::<i64>(3).is_err());
                assert!(!format!("{:?}", row.get::<TicketId>(0)).contains("sesame"));
                Ok(())
            })
        });
        read.await.unwrap();
    }

    async fn an_optional_filter_is_one_text(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let owner = HostId::from_uuid(Uuid::from_u128(1));
        let fill = store.write(Priority::Normal, move |tx| {
            tx.execute(
                "INSERT INTO entry (name, owner) VALUES ($1, $2), ($3, NULL)",
                params!["a", owner, "b"],
            )
        });
        fill.await.unwrap();
        let count = |name: Option<&'static str>, of: Option<HostId>| {
            let read = store.read(move |tx| {
                let sql = "SELECT count(*) FROM entry WHERE (CAST($1 AS TEXT) IS NULL OR name = $1)
                              AND (CAST($2 AS UUID_T) IS NULL OR owner = $2)";
                tx.query_one(sql, params![name, of], |row| row.get::<i64>(0))
            });
            async move { read.await.unwrap() }
        };
        assert_eq!(count(None, None).await, 2);
        assert_eq!(count(Some("a"), None).await, 1);
        assert_eq!(count(None, Some(owner)).await, 1);
        assert_eq!(count(Some("b"), Some(owner)).await, 0);
    }

    async fn text_keys_sort_by_bytes(place: Place) {
        let store = place.open_with(ENTRIES).await;
        for name in ["b", "B", "a", "_", "é", "Z"] {
            crate::write_name(&store, name).await.unwrap();
        }
        assert_eq!(crate::stored(&store).await, ["B", "Z", "_", "a", "b", "é"]);
    }

    async fn one_row_means_one_row(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let read = store.read(|tx| {
            let none = "SELECT 1 WHERE 1 = 0";
            let two = "SELECT 1 UNION ALL SELECT 2";
            assert_eq!(tx.query_opt(none, params![], |row| row.get::<i64>(0))?, None);
            corrupt(tx.query_one(none, params![], |row| row.get::<i64>(0)));
            corrupt(tx.query_opt(two, params![], |row| row.get::<i64>(0)));
            assert_eq!(tx.query(two, params![], |row| row.get::<i64>(0))?, [1, 2]);
            Ok::<_, StoreError>(())
        });
        read.await.unwrap();
    }
}
