//! Gives each test a database of its own, once on SQLite and once on PostgreSQL.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test without its database fails")]

use muster_edge::Clock;
use muster_store::{Location, Migration, Store, StoreConfig};
use muster_testkit::postgres::{Cluster, Database};
use tempfile::TempDir;

/// An empty database, gone when this is dropped.
pub(crate) struct Place {
    pub(crate) config: StoreConfig,
    home: Home,
}

enum Home {
    Folder(TempDir),
    Server(Database),
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("muster.db"));
        Self { config: StoreConfig::new(location, Clock::system()), home: Home::Folder(folder) }
    }

    pub(crate) fn postgres() -> Self {
        let database = Cluster::shared().database();
        let location = Location::Postgres(database.url().to_owned());
        let mut config = StoreConfig::new(location, Clock::system());
        config.limits.connections = 8;
        Self { config, home: Home::Server(database) }
    }

    pub(crate) fn database(&self) -> &Database {
        match &self.home {
            Home::Server(database) => database,
            Home::Folder(_) => panic!("this place is a file"),
        }
    }

    pub(crate) fn file(&self) -> std::path::PathBuf {
        match &self.home {
            Home::Folder(folder) => folder.path().join("muster.db"),
            Home::Server(_) => panic!("this place is a server"),
        }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(self.config.clone()).await.unwrap()
    }

    pub(crate) async fn open_with(&self, migrations: &'static [Migration]) -> Store {
        Store::open_with(self.config.clone(), migrations).await.unwrap()
    }
}

/// Runs each function twice, as `name::sqlite` and `name::postgres`. It takes `store: Store`, with the real schema,
/// or `place: Place`, to open as it likes.
macro_rules! both {
    ($($(#[$meta:meta])* async fn $name:ident($argument:ident: $kind:ident) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn run($argument: $kind) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let place = $crate::backends::Place::sqlite();
                $crate::backends::give!($kind, place, run);
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let place = $crate::backends::Place::postgres();
                $crate::backends::give!($kind, place, run);
            }
        }
    )+};
}

macro_rules! give {
    (Place, $place:ident, $run:ident) => {
        $run($place).await
    };
    (Store, $place:ident, $run:ident) => {
        $run($place.open().await).await
    };
}

#[allow(unused_imports, reason = "each test binary uses its part")]
pub(crate) use {both, give};
