//! The whole server under real clients: joins, heartbeats, memory, pushes, revocations, and its sudden death.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use muster_channel::backoff;
use tokio::time::Instant;

use super::Bench;
use crate::card::{Card, GoalKind};
use crate::figures::{median, ms, per_second};
use crate::floor::{self, Floor, Kind};
use crate::play::Play;
use crate::scenario::{Orders, Over};
use crate::server::Backend;
use crate::{echo, load};

const IN_FLIGHT: usize = 256;
const LANES: usize = 64;
/// Clients that are connected before memory is looked at: what they touch first is nobody's in particular.
const WARM: usize = 300;
const BACK_WITHIN: Duration = Duration::from_secs(180);
/// An agent that lost its server draws from the first window; each failure opens a longer one.
const WINDOW_AFTER_A_FAILURE: Duration = backoff::BASE.saturating_mul(2);

type Measured = anyhow::Result<()>;

/// Measures a server on one database.
pub(super) async fn measure(card: &mut Card, backend: Backend, bench: &Bench) {
    let name = backend.name();
    let play = Play::begin(&bench.muster, backend).await;
    let mut play = match play {
        Ok(play) => play,
        Err(error) => return card.missing("the server", name, &error),
    };
    if let Err(error) = joins(card, &mut play, bench).await {
        card.missing("joins", name, &error);
    }
    // What follows until TLS does not depend on the database.
    if backend == Backend::Sqlite {
        if let Err(error) = http_heartbeats(card, &mut play, bench).await {
            card.missing("HTTP heartbeats", name, &error);
        }
        if let Err(error) = plain_channels(card, &mut play, bench).await {
            card.missing("plain channels", name, &error);
        }
    }
    if let Err(error) = fleet(card, &mut play, bench).await {
        card.missing("the connected fleet", name, &error);
    }
    let log = play.stage.server.log();
    let bad: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).take(10).collect();
    if !bad.is_empty() {
        eprintln!("    the server said:\n{}", bad.join("\n"));
    }
}

async fn joins(card: &mut Card, play: &mut Play, bench: &Bench) -> Measured {
    let (backend, sizes) = (play.stage.server.backend, bench.sizes);
    play.join(IN_FLIGHT, LANES).await?;
    let (mut floors, mut rates) = (Vec::new(), Vec::new());
    let mut last = None;
    for _ in 0..sizes.runs.min(2) {
        floors.push(single(backend, sizes.run_for).await?);
        let joins = play.join(sizes.joins, IN_FLIGHT).await?;
        rates.push(joins.ran.rate());
        last = Some(joins.ran.latency);
    }
    floors.push(single(backend, sizes.run_for).await?);
    let goal = match backend {
        Backend::Sqlite => GoalKind::JoinsSqlite,
        Backend::Postgres => GoalKind::JoinsPostgres,
    };
    card.goal(goal, backend.name(), median(rates), Some(median(floors)));
    let latency = last.context("no join was measured")?;
    card.figure("join, 256 in flight, p50", backend.name(), latency.p50_ms(), "ms");
    card.figure("join, 256 in flight, p99", backend.name(), latency.p99_ms(), "ms");
    let joins = play.join(sizes.joins / 10, 1).await?;
    card.figure("join, one at a time, p50", backend.name(), joins.ran.latency.p50_ms(), "ms");
    Ok(())
}

async fn single(backend: Backend, lasts: Duration) -> anyhow::Result<f64> {
    match backend {
        Backend::Sqlite => tokio::task::spawn_blocking(move || floor::single_commits(lasts)).await?,
        Backend::Postgres => floor::joins_with_8_connections(lasts).await,
    }
}

async fn http_heartbeats(card: &mut Card, play: &mut Play, bench: &Bench) -> Measured {
    let sizes = bench.sizes;
    let (door, requests) = play.bearer_heartbeats(sizes.bearers).await?;
    let requests = Arc::new(requests);
    let floor = Floor::start(Kind::Http).await?;
    let (mut floors, mut rates) = (Vec::new(), Vec::new());
    let mut latency = None;
    for _ in 0..sizes.runs {
        floors.push(load::again(&floor.door, &requests, LANES, sizes.run_for).await?.all_wanted()?.rate());
        let ran = load::again(&door, &requests, LANES, sizes.run_for).await?.all_wanted()?;
        rates.push(ran.rate());
        latency = Some(ran.latency);
    }
    let name = play.stage.server.backend.name();
    card.goal(GoalKind::HttpHeartbeats, name, median(rates), Some(median(floors)));
    let latency = latency.context("no heartbeat was measured")?;
    card.figure("HTTP heartbeat, 64 connections, p99", name, latency.p99_ms(), "ms");
    Ok(())
}

async fn plain_channels(card: &mut Card, play: &mut Play, bench: &Bench) -> Measured {
    let (name, sizes) = (play.stage.server.backend.name(), bench.sizes);
    let memory = memory(play, sizes.plain, Over::Plain).await?;
    card.goal(GoalKind::MemoryPlain, name, memory, None);
    let floor = Floor::start(Kind::Echo).await?;
    let (mut floors, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..sizes.runs {
        floors.push(echo::load(&floor.door, LANES, sizes.run_for).await?);
        rates.push(play.beat(LANES, sizes.run_for).await?);
    }
    card.goal(GoalKind::ChannelHeartbeats, name, median(rates), Some(median(floors)));
    play.disconnect().await
}

/// Connects clients and returns what each of them costs the server, in KiB.
async fn memory(play: &mut Play, machines: usize, over: Over) -> anyhow::Result<f64> {
    // They join before memory is looked at: a join leaves more behind than a channel.
    let joined = play.joined();
    if joined < machines {
        play.join(machines - joined, LANES).await?;
    }
    // A fresh process: what was freed before is used again first, and would make agents look cheap.
    play.stage.server.stop().await?;
    play.stage.server.launch().await?;
    play.connect(WARM, over).await?;
    let before = settled_rss(play).await?;
    play.connect(machines - WARM, over).await?;
    let after = settled_rss(play).await?;
    Ok(after.saturating_sub(before) as f64 / 1024.0 / (machines - WARM) as f64)
}

async fn settled_rss(play: &Play) -> anyhow::Result<u64> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    play.stage.server.rss()
}

/// A fleet over TLS: memory, pushes, revocations, and at last the death of its server.
async fn fleet(card: &mut Card, play: &mut Play, bench: &Bench) -> Measured {
    let (backend, sizes) = (play.stage.server.backend, bench.sizes);
    let (name, clients) = (backend.name(), sizes.fleet(backend));
    // First, and alone: this process cannot hold two fleets at once.
    let floor = fan_out(clients).await;
    let began = Instant::now();
    let memory = memory(play, clients, Over::Tls).await?;
    card.goal(GoalKind::MemoryTls, name, memory, None);
    card.figure("connects, 128 at once, TLS", name, per_second(clients, began.elapsed()), "/s");
    card.figure("clients over TLS", name, clients as f64, "");
    if let Err(error) = push(card, play, floor).await {
        card.missing("push to all", name, &error);
    }
    match play.revoke(sizes.revoked).await {
        Ok(refused) => {
            card.goal(GoalKind::RevokeToRefused, name, refused.p99_ms(), None);
            card.figure("revoke to refused, p50", name, refused.p50_ms(), "ms");
        }
        Err(error) => card.missing("revocations", name, &error),
    }
    comeback(card, play).await?;
    play.disconnect().await
}

async fn push(card: &mut Card, play: &mut Play, floor: anyhow::Result<f64>) -> Measured {
    let name = play.stage.server.backend.name();
    let pushed = play.push_all(Orders::OfMany).await?;
    card.goal(GoalKind::PushToAll, name, ms(pushed.took), Some(floor?));
    card.figure("push to all, after the last order", name, ms(pushed.tail), "ms");
    Ok(())
}

/// The bare fan-out to as many clients over TLS: the middle of five, in milliseconds.
async fn fan_out(clients: usize) -> anyhow::Result<f64> {
    let floor = Floor::start(Kind::FanOutTls).await?;
    let listeners = echo::Listeners::open(&floor.door, clients).await?;
    let mut took = Vec::new();
    for round in 1..=5 {
        let began = Instant::now();
        floor.push().await?;
        listeners.heard(clients * round).await?;
        took.push(ms(began.elapsed()));
    }
    Ok(median(took))
}

async fn comeback(card: &mut Card, play: &mut Play) -> Measured {
    let name = play.stage.server.backend.name();
    play.crew.take_notes();
    let window = play.crew.reconnect_window().unwrap_or(WINDOW_AFTER_A_FAILURE);
    play.stage.server.kill9();
    play.stage.server.launch().await?;
    let back = play.all_back(BACK_WITHIN).await?;
    card.goal(GoalKind::AllBack, name, back.took.as_secs_f64(), Some(window.as_secs_f64()));
    card.goal(GoalKind::ConnectPeak, name, back.histogram.peak() as f64, Some(back.histogram.mean()));
    card.goal(GoalKind::ConnectFailures, name, back.failures as f64, None);
    card.figure("told to wait after kill -9", name, back.waited as f64, "times");
    card.reconnects.insert(name, back.histogram);
    Ok(())
}
