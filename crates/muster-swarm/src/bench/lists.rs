//! Pages of hosts through the API, over a fleet that is large and made offline.

use std::sync::Arc;

use anyhow::Context;
use muster_wire::host::Host;
use muster_wire::page::Page;

use super::Bench;
use super::fleet::{self, RARE_TAG};
use crate::card::{Card, GoalKind};
use crate::connection::{self, Connection};
use crate::figures::Spread;
use crate::load;
use crate::play::Play;
use crate::scenario::Over;
use crate::server::Backend;

const WARM: usize = 5;
const PAGES: usize = 100;
/// In a list by keys every place costs the same.
const FAR: u64 = 10_000;
const STEP: u64 = 200;
/// A page that is this slow is not asked for a hundred times.
const TOO_SLOW_MS: f64 = 200.0;

pub(super) async fn measure(card: &mut Card, backend: Backend, bench: &Bench) {
    if let Err(error) = pages(card, backend, bench).await {
        card.missing("list pages", backend.name(), &error);
    }
}

async fn pages(card: &mut Card, backend: Backend, bench: &Bench) -> anyhow::Result<()> {
    let hosts = bench.sizes.listed(backend);
    let play = fleet::begin(&bench.muster, backend, hosts).await?;
    card.figure("hosts in the lists", backend.name(), hosts as f64, "");
    let deep = deep_cursor(&play, FAR).await?;
    let site = play.stage.site_id;
    let shapes = [
        ("first page", String::new()),
        ("a page in the middle", format!("cursor={deep}")),
        ("of a site", format!("site_id={site}")),
        ("with a common tag", "tag=odd".to_owned()),
        ("with a rare tag", format!("tag={RARE_TAG}")),
        ("with a common tag, of a site", format!("tag=odd&site_id={site}")),
        ("that were suspended", "state=suspended".to_owned()),
        ("online", "presence=online".to_owned()),
        ("whose name begins like many", "q=fleet-0".to_owned()),
        ("whose name begins like one", "q=fleet-0000777".to_owned()),
        ("whose name begins like none", "q=zebra".to_owned()),
    ];
    let mut slowest: f64 = 0.0;
    for (what, query) in shapes {
        let spread = asked(&play, &query).await.with_context(|| what.to_owned())?;
        card.figure(format!("hosts {what}, p99 of a page"), backend.name(), spread.p99_ms(), "ms");
        slowest = slowest.max(spread.p99_ms());
    }
    card.goal(GoalKind::ListPages, backend.name(), slowest, None);
    Ok(())
}

async fn asked(play: &Play, query: &str) -> anyhow::Result<Spread> {
    let door = play.stage.door(Over::Plain)?;
    let request = Arc::new(request(play, query)?);
    let once = |count: usize| {
        let (door, request) = (door.clone(), Arc::clone(&request));
        async move {
            let (ran, _) = load::once(&door, vec![request.to_vec(); count], 1).await?;
            ran.all_wanted()
        }
    };
    let warm = once(WARM).await?.latency;
    let pages = if warm.p50_ms() > TOO_SLOW_MS { WARM } else { PAGES };
    Ok(once(pages).await?.latency)
}

fn request(play: &Play, query: &str) -> anyhow::Result<Vec<u8>> {
    let door = play.stage.door(Over::Plain)?;
    let bearer = format!("Bearer {}", play.stage.owner_token);
    let path = if query.is_empty() { "/v1/hosts".to_owned() } else { format!("/v1/hosts?{query}") };
    Ok(connection::get(&path, door.authority(), &[("authorization", &bearer)]))
}

/// The cursor of the page after the first `hosts`.
pub(super) async fn deep_cursor(play: &Play, hosts: u64) -> anyhow::Result<String> {
    let door = play.stage.door(Over::Plain)?;
    let mut connection = Connection::open(&door.dialer, &door.url).await?;
    let mut query = format!("limit={STEP}");
    let mut cursor = None;
    for _ in 0..hosts.div_ceil(STEP) {
        let answer = connection.ask(&request(play, &query)?).await?;
        let page: Page<Host> = serde_json::from_slice(&answer.body)
            .with_context(|| String::from_utf8_lossy(&answer.body).into_owned())?;
        let next = page.next_cursor.context("the fleet is too small")?;
        query = format!("limit={STEP}&cursor={next}");
        cursor = Some(next);
    }
    cursor.context("the fleet is too small")
}
