//! What goes in comes out, the same on both databases.

use muster_ids::{HostId, KeyName, MachineUid, TicketId, Timestamp};
use muster_store::{Json, Priority, Row, StoreError, Value, params};
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
    /// More rows than go into one statement, and queries than are on their way at once.
    async fn many_rows_are_made_and_asked_for_in_their_order(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let rows: Vec<Vec<Value>> = (0..150).map(|n: i64| params![format!("n{n}"), n].to_vec()).collect();
        let names: Vec<Vec<Value>> =
            ["n149", "none", "n0", "n77"].iter().cycle().take(200).map(|name| params![*name].to_vec()).collect();
        let again = rows[..5].to_vec();
        let made = store.write(Priority::Urgent, move |tx| {
            let sql = "INSERT INTO entry (name, amount) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            Ok::<_, StoreError>((tx.insert_rows(sql, &rows)?, tx.insert_rows(sql, &[])?, tx.insert_rows(sql, &again)?))
        });
        assert_eq!(made.await.unwrap(), (150, 0, 0));
        let found = store.read(move |tx| {
            tx.query_each("SELECT amount FROM entry WHERE name = $1", &names, |row| row.get::<i64>(0))
        });
        let found = found.await.unwrap();
        assert_eq!(found.len(), 200);
        assert_eq!(found[..4], [vec![149], Vec::new(), vec![0], vec![77]]);
        assert_eq!(found[196..], found[..4]);
        let bad = store.write(Priority::Urgent, |tx| {
            let rows = [params!["x", 1_i64].to_vec(), params![Value::Null, 2_i64].to_vec()];
            tx.insert_rows("INSERT INTO entry (name, amount) VALUES ($1, $2)", &rows)
        });
        assert!(bad.await.is_err());
        let left = store.read(|tx| tx.query_one("SELECT count(*) FROM entry", params![], |row| row.get::<i64>(0)));
        assert_eq!(left.await.unwrap(), 150, "nothing of a statement that failed stays");
    }

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
