//! Schemas grow, and refuse what they do not know.

use muster_ids::Timestamp;
use muster_store::{Migration, Priority, Store, StoreError, Tx, params};

use crate::backends::{Place, both};

const FIRST: Migration = (1, "first", "CREATE TABLE one (id SERIAL_T, name TEXT_KEY NOT NULL);");
const SECOND: Migration =
    (2, "second", "CREATE TABLE two (id UUID_T PRIMARY KEY);\nINSERT INTO one (name) VALUES ('x');");
const BROKEN: Migration =
    (2, "broken", "CREATE TABLE two (id UUID_T PRIMARY KEY); INSERT INTO nowhere VALUES (1);");

async fn refusal(place: &Place, migrations: &'static [Migration]) -> String {
    match Store::open_with(place.config.clone(), migrations).await {
        Err(error @ StoreError::Schema { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn count(store: &Store) -> i64 {
    store.read(|tx| tx.query_one("SELECT count(*) FROM one", params![], |row| row.get(0))).await.unwrap()
}

both! {
    async fn the_real_schema_grows_from_empty_and_opens_again(place: Place) {
        place.open().await.close().await;
        place.open().await.check().await.unwrap();
    }

    async fn migrations_are_applied_once_and_in_order(place: Place) {
        place.open_with(&[FIRST]).await.close().await;
        place.open_with(&[FIRST, SECOND]).await.close().await;
        let store = place.open_with(&[FIRST, SECOND]).await;
        assert_eq!(count(&store).await, 1);
        let versions = store.read(|tx| {
            tx.query("SELECT version FROM schema_migration ORDER BY version", params![], |row| row.get::<i64>(0))
        });
        assert_eq!(versions.await.unwrap(), [1, 2]);
    }

    async fn two_servers_that_start_together_migrate_once(place: Place) {
        let list: &'static [Migration] = &[FIRST, SECOND];
        let (one, two) = tokio::join!(
            Store::open_with(place.config.clone(), list),
            Store::open_with(place.config.clone(), list)
        );
        assert_eq!(count(&one.unwrap()).await, 1);
        assert_eq!(count(&two.unwrap()).await, 1);
    }

    async fn c26_tables_are_made_anew_all_at_once_or_stay(place: Place) {
        let store = place.open_with(&[FIRST]).await;
        let anew = async |list: &'static [Migration]| {
            store.write(Priority::Urgent, move |tx| tx.schema_anew(list, Timestamp::from_millis(1))).await
        };
        let add = |tx: &mut Tx<'_>| tx.execute("INSERT INTO one (name) VALUES ('a'), ('b')", params![]);
        store.write(Priority::Normal, add).await.unwrap();
        anew(&[FIRST, BROKEN]).await.unwrap_err();
        assert_eq!(count(&store).await, 2, "what was there is there");
        anew(&[FIRST, SECOND]).await.unwrap();
        assert_eq!(count(&store).await, 1, "only what its own migrations put there");
        let versions = store.read(|tx| tx.schema_versions()).await.unwrap().unwrap();
        assert_eq!(versions.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [1, 2]);
    }

    async fn a_changed_text_is_refused(place: Place) {
        place.open_with(&[FIRST]).await.close().await;
        let error = refusal(&place, &[(1, "first", "CREATE TABLE one (id SERIAL_T);")]).await;
        assert!(error.contains("version 1 (first) was applied with another text"), "{error}");
    }

    async fn a_newer_schema_is_refused(place: Place) {
        place.open_with(&[FIRST, SECOND]).await.close().await;
        let error = refusal(&place, &[FIRST]).await;
        assert!(error.contains("version 2, newer than this program knows"), "{error}");
    }

    async fn a_missing_version_is_refused(place: Place) {
        place.open_with(&[SECOND_ALONE]).await.close().await;
        let error = refusal(&place, &[FIRST, SECOND_ALONE]).await;
        assert!(error.contains("version 2 where 1 (first) belongs"), "{error}");
    }

    async fn a_migration_that_fails_leaves_nothing_behind(place: Place) {
        let failed = Store::open_with(place.config.clone(), &[FIRST, BROKEN]).await;
        assert!(matches!(failed, Err(StoreError::Database { .. })), "{failed:?}");
        assert_eq!(count(&place.open_with(&[FIRST, SECOND]).await).await, 1);
    }
}

const SECOND_ALONE: Migration = (2, "alone", "CREATE TABLE two (id UUID_T PRIMARY KEY);");
