//! Whether what is called durable was synced: syncs are counted from outside while machines join.
//!
//! SQLite: `strace` counts the server's own `fsync` and `fdatasync`. PostgreSQL: `pg_stat_wal` counts those of the log.

use anyhow::{Context, ensure};
use muster_testkit::binaries;
use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::NoTls;

use super::Bench;
use crate::card::Card;
use crate::play::Play;
use crate::server::{Backend, Server, Watched};

const JOINS: usize = 1000;
const IN_FLIGHT: usize = 256;

pub(super) async fn measure(card: &mut Card, backend: Backend, bench: &Bench) {
    let counted = match backend {
        Backend::Sqlite => of_the_server(card, bench).await,
        Backend::Postgres => of_the_database(card, bench).await,
    };
    if let Err(error) = counted {
        card.missing("syncs", backend.name(), &error);
    }
}

async fn of_the_server(card: &mut Card, bench: &Bench) -> anyhow::Result<()> {
    let name = Backend::Sqlite.name();
    let mut play = Play::begin_watched(&bench.muster, Backend::Sqlite, Watched::BySyncs).await?;
    let commits = commits(&play.stage.server).await?;
    play.join(JOINS, IN_FLIGHT).await?;
    let commits_since_start = self::commits(&play.stage.server).await?;
    let tracer = play.stage.server.pid()?;
    let server = *binaries::descendants(tracer).first().context("strace runs no server")?;
    let server = i32::try_from(server).ok().and_then(Pid::from_raw).context("no process has this id")?;
    kill_process(server, Signal::TERM)?;
    play.stage.server.ended().await?;
    let syncs = play.stage.server.syncs()?;
    card.figure(format!("commits while {JOINS} joined"), name, commits_since_start - commits, "");
    card.figure("commits of that server in all", name, commits_since_start, "");
    card.figure("fsyncs of that server in all, counted by strace", name, syncs as f64, "");
    ensure!(syncs as f64 >= commits_since_start, "{syncs} fsyncs for {commits_since_start} commits");
    Ok(())
}

async fn of_the_database(card: &mut Card, bench: &Bench) -> anyhow::Result<()> {
    let name = Backend::Postgres.name();
    let mut play = Play::begin(&bench.muster, Backend::Postgres).await?;
    let url = play.stage.server.database_url().context("the server has no database")?.to_owned();
    let before = wal_syncs(&url).await?;
    play.join(JOINS, IN_FLIGHT).await?;
    let syncs = wal_syncs(&url).await? - before;
    card.figure(format!("syncs of the log while {JOINS} joined, by pg_stat_wal"), name, syncs as f64, "");
    ensure!(syncs > 0, "nothing was synced");
    Ok(())
}

async fn commits(server: &Server) -> anyhow::Result<f64> {
    server.metric("muster_store_commits_total").await
}

async fn wal_syncs(url: &str) -> anyhow::Result<i64> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let row = client.query_one("SELECT wal_sync FROM pg_stat_wal", &[]).await?;
    drop(client);
    connection.await??;
    Ok(row.get(0))
}
