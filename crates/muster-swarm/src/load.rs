//! Closed-loop load over HTTP: so many connections, each with one request on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::connection::{Answer, Connection};
use crate::figures::{Spread, per_second};
use crate::stage::Door;

/// What a load came to.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub(crate) requests: usize,
    pub(crate) took: Duration,
    pub(crate) latency: Spread,
    /// Answers 5xx that Muster never gives, under no load.
    pub(crate) failures: usize,
    /// Answers that were not what was asked for.
    pub(crate) unwanted: usize,
    /// The last of them.
    pub(crate) last_unwanted: Option<String>,
}

impl Ran {
    pub(crate) fn rate(&self) -> f64 {
        per_second(self.requests - self.unwanted, self.took)
    }

    /// Fails unless every answer was the one that was asked for.
    pub(crate) fn all_wanted(self) -> anyhow::Result<Self> {
        match &self.last_unwanted {
            None => Ok(self),
            Some(said) => anyhow::bail!("{} of {} answers: {said}", self.unwanted, self.requests),
        }
    }
}

#[derive(Default)]
struct Lane {
    latency: Vec<Duration>,
    failures: usize,
    unwanted: usize,
    last_unwanted: Option<String>,
    answers: Vec<(usize, Answer)>,
}

impl Lane {
    fn note(&mut self, answer: &Answer, began: Instant) {
        self.latency.push(began.elapsed());
        self.failures += usize::from(answer.is_failure());
        if !(200..300).contains(&answer.status) {
            self.unwanted += 1;
            self.last_unwanted = Some(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)));
        }
    }
}

/// Sends every request once over `in_flight` connections and returns the answers in the order of the requests.
pub(crate) async fn once(
    door: &Door,
    requests: Vec<Vec<u8>>,
    in_flight: usize,
) -> anyhow::Result<(Ran, Vec<Answer>)> {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let connections = open(door, in_flight.min(requests.len())).await?;
    let began = Instant::now();
    let lanes = connections.into_iter().map(|mut connection| {
        let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
        tokio::spawn(async move {
            let mut lane = Lane::default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(index) else { return anyhow::Ok(lane) };
                let began = Instant::now();
                let answer = connection.ask(request).await?;
                lane.note(&answer, began);
                lane.answers.push((index, answer));
            }
        })
    });
    let mut lanes = joined(lanes).await?;
    let took = began.elapsed();
    let mut answers: Vec<(usize, Answer)> =
        lanes.iter_mut().flat_map(|lane| std::mem::take(&mut lane.answers)).collect();
    answers.sort_by_key(|(index, _)| *index);
    Ok((sum(lanes, took), answers.into_iter().map(|(_, answer)| answer).collect()))
}

/// Sends the requests again and again for a while: each connection has a share of them of its own.
pub(crate) async fn again(
    door: &Door,
    requests: &Arc<Vec<Vec<u8>>>,
    in_flight: usize,
    lasts: Duration,
) -> anyhow::Result<Ran> {
    let connections = open(door, in_flight).await?;
    let began = Instant::now();
    let until = began + lasts;
    let lanes = connections.into_iter().enumerate().map(|(lane_number, mut connection)| {
        let requests = Arc::clone(requests);
        tokio::spawn(async move {
            let mut lane = Lane::default();
            let mut index = lane_number;
            loop {
                let began = Instant::now();
                if began >= until {
                    return anyhow::Ok(lane);
                }
                let request = requests.get(index % requests.len()).context("there are no requests")?;
                let answer = connection.ask(request).await?;
                lane.note(&answer, began);
                index += in_flight;
            }
        })
    });
    let lanes = joined(lanes).await?;
    Ok(sum(lanes, began.elapsed()))
}

async fn open(door: &Door, count: usize) -> anyhow::Result<Vec<Connection>> {
    try_join_all((0..count).map(|_| Connection::open(&door.dialer, &door.url))).await
}

async fn joined(
    lanes: impl Iterator<Item = tokio::task::JoinHandle<anyhow::Result<Lane>>>,
) -> anyhow::Result<Vec<Lane>> {
    // All are spawned before the first one is waited for.
    let lanes: Vec<_> = lanes.collect();
    let mut ended = Vec::with_capacity(lanes.len());
    for lane in lanes {
        ended.push(lane.await??);
    }
    Ok(ended)
}

fn sum(lanes: Vec<Lane>, took: Duration) -> Ran {
    let mut ran = Ran { took, ..Ran::default() };
    let mut latency = Vec::new();
    for lane in lanes {
        ran.failures += lane.failures;
        ran.unwanted += lane.unwanted;
        ran.last_unwanted = lane.last_unwanted.or(ran.last_unwanted);
        latency.extend(lane.latency);
    }
    ran.requests = latency.len();
    ran.latency = Spread::of(latency);
    ran
}
