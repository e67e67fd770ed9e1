//! The server is killed while it changes its schema, on both databases (SECURITY C24).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use muster_edge::Clock;
use muster_store::{Location, MIGRATIONS, Store, StoreConfig};
use muster_testkit::binaries::Running;
use muster_testkit::postgres::Cluster;

use crate::faults::Random;
use crate::harness::{Backend, Server, both, is_soak, until};

/// The schema before the migration that writes a table anew.
const FORMER: usize = 2;
/// So many rows that it takes a while, and does not fit in memory.
const ROWS: u64 = 20_000;
const FILLS_SQLITE: &str = "
    INSERT INTO team (id, name, is_platform, wrapped_key, created_at) VALUES (x'01', 'workshop', 0, x'', 1);
    INSERT INTO site (id, team_id, name, policy, created_at) VALUES (x'02', x'01', 'floor', '{}', 1);
    WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 20000)
    INSERT INTO claim (id, team_id, site_id, ticket_id, reason, state, key_name, key_material, machine_uid,
                       hostname, facts, labels, source_address, created_at, expires_at)
    SELECT CAST(printf('%016d', n) AS BLOB), x'01', x'02', 'ticket', 'policy', 'waiting', 'key ' || n, x'00',
           'uid ' || n, 'host-' || n, hex(zeroblob(100)), '{}', '127.0.0.1', 1, 9000000000000 FROM counted;
    PRAGMA wal_checkpoint(TRUNCATE);";
const FILLS_POSTGRES: &str = "
    INSERT INTO team (id, name, is_platform, wrapped_key, created_at)
    VALUES (lpad('1', 32, '0')::uuid, 'workshop', 0, '', 1);
    INSERT INTO site (id, team_id, name, policy, created_at)
    VALUES (lpad('2', 32, '0')::uuid, lpad('1', 32, '0')::uuid, 'floor', '{}', 1);
    INSERT INTO claim (id, team_id, site_id, ticket_id, reason, state, key_name, key_material, machine_uid,
                       hostname, facts, labels, source_address, created_at, expires_at)
    SELECT lpad(n::text, 32, '0')::uuid, lpad('1', 32, '0')::uuid, lpad('2', 32, '0')::uuid, 'ticket', 'policy',
           'waiting', 'key ' || n, '', 'uid ' || n, 'host-' || n, repeat('00', 100), '{}', '127.0.0.1', 1,
           9000000000000 FROM generate_series(1, 20000) AS n;";

/// A server and its database, which can be set back to the version before.
struct Old {
    server: Server,
    /// Of PostgreSQL: nobody else writes to its log.
    cluster: Option<Cluster>,
    /// What the database file held, of SQLite.
    former: Vec<u8>,
}

impl Old {
    async fn prepare(backend: Backend) -> Self {
        let mut old = Self { server: Server::prepare(Backend::Sqlite), cluster: None, former: Vec::new() };
        let data = &old.server.data;
        fs::create_dir_all(data).unwrap();
        fs::set_permissions(data, fs::Permissions::from_mode(0o700)).unwrap();
        match backend {
            Backend::Postgres => old.cluster = Some(Cluster::start().unwrap()),
            Backend::Sqlite => {
                migrate_to_former(Location::Sqlite(old.file())).await;
                rusqlite::Connection::open(old.file()).unwrap().execute_batch(FILLS_SQLITE).unwrap();
                old.former = fs::read(old.file()).unwrap();
            }
        }
        old.set_back().await;
        old
    }

    fn file(&self) -> PathBuf {
        self.server.data.join("muster.db")
    }

    /// Gives the server a database of the version before.
    async fn set_back(&mut self) {
        let Some(cluster) = &self.cluster else {
            for left in ["db-wal", "db-shm"] {
                let _ = fs::remove_file(self.file().with_extension(left));
            }
            return fs::write(self.file(), &self.former).unwrap();
        };
        let database = cluster.database();
        migrate_to_former(Location::Postgres(database.url().to_owned())).await;
        database.run(FILLS_POSTGRES);
        self.server.database = Some(database);
    }

    /// The bytes that were logged: they grow while a migration is on its way, and it is not committed before its last.
    fn logged(&self) -> u64 {
        match &self.server.database {
            Some(database) => database.ask("SELECT pg_current_wal_insert_lsn() - '0/0'").parse().unwrap(),
            None => fs::metadata(self.file().with_extension("db-wal")).map_or(0, |log| log.len()),
        }
    }

    fn count(&self, sqlite: &str, postgres: &str) -> u64 {
        match &self.server.database {
            Some(database) => database.ask(postgres).parse().unwrap(),
            None => {
                let connection = rusqlite::Connection::open(self.file()).unwrap();
                connection.query_row(sqlite, [], |row| row.get::<_, u32>(0)).unwrap().into()
            }
        }
    }

    /// Waits until the database has noticed that its server is gone.
    async fn until_alone(&self) {
        let Some(database) = &self.server.database else { return };
        let others = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
        until("a session of the dead server stays", Duration::from_secs(60), async || {
            (database.ask(others) == "0").then_some(())
        })
        .await;
    }

    /// The version of the database, which is whole and has all its rows: each migration is done whole or not begun.
    async fn version(&self) -> usize {
        self.until_alone().await;
        let count = |sql: &str| self.count(sql, sql);
        if self.cluster.is_none() {
            let connection = rusqlite::Connection::open(self.file()).unwrap();
            let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(found, "ok");
        }
        assert_eq!(count("SELECT count(*) FROM claim"), ROWS, "rows were lost");
        let halves = self.count(
            "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%_anew'",
            "SELECT count(*) FROM pg_class WHERE relname LIKE '%_anew'",
        );
        assert_eq!(halves, 0, "half a migration");
        let version = count("SELECT max(version) FROM schema_migration");
        assert_eq!(count("SELECT count(*) FROM schema_migration"), version);
        let held = self.count(
            "SELECT count(*) FROM pragma_table_info('host') WHERE name = 'held_at'",
            "SELECT count(*) FROM information_schema.columns WHERE table_name = 'host' AND column_name = 'held_at'",
        );
        let version = usize::try_from(version).unwrap();
        assert_eq!(held == 1, version > FORMER, "version {version} with the columns of another");
        version
    }

    /// Starts the server and kills it once so many bytes were logged.
    async fn killed_after(&self, bytes: u64) {
        let before = self.logged();
        let mut process = Running::start(self.server.command(), &self.server.log).unwrap();
        until("the migration does not begin", Duration::from_secs(60), async || {
            (self.logged() >= before + bytes.max(1)).then_some(())
        })
        .await;
        process.kill9();
    }
}

async fn migrate_to_former(location: Location) {
    let mut config = StoreConfig::new(location, Clock::system());
    config.limits.write_for = Duration::from_secs(60);
    let store = Store::open_with(config, &MIGRATIONS[..FORMER]).await.unwrap();
    store.close().await;
}

both! {
    async fn c24_kill_9_at_any_moment_of_a_migration_leaves_the_former_schema_or_the_new_one(backend: Backend) {
        let mut random = Random::seeded();
        let mut old = Old::prepare(backend).await;
        let before = old.logged();
        old.server.launch().await;
        let logged = old.logged() - before;
        old.server.kill9();
        assert_eq!(old.version().await, MIGRATIONS.len());
        let mut interrupted = 0;
        for round in 0..if is_soak() { 100 } else { 4 } {
            old.set_back().await;
            // What PostgreSQL logs last comes after the migration, and is not always as much.
            let kill_at = random.below(if backend == Backend::Postgres { logged / 10 * 8 } else { logged });
            old.killed_after(kill_at).await;
            let version = old.version().await;
            eprintln!("round {round}: killed when {kill_at} of {logged} bytes were logged, version {version}");
            interrupted += usize::from(version < MIGRATIONS.len());
        }
        assert!(interrupted > 0, "no kill came in time");
        old.server.launch().await;
        old.server.kill9();
        assert_eq!(old.version().await, MIGRATIONS.len());
    }
}
