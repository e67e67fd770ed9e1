//! What was gathered becomes rows: the most frequent by name, the rest in one.

use std::net::IpAddr;
use std::time::Duration;

use muster_http::AddressBucket;
use muster_ids::TeamId;
use muster_store::Priority;
use muster_wire::happening::Happening;
use serde_json::{Value, json};

use super::recent::{AGAIN_AND_AGAIN, WITHIN};
use super::{FailedAttempts, Gathered, Others, Place, Repeated, Tally};
use crate::app::App;
use crate::failure::Failure;
use crate::unit::{Author, Fact};

/// Audit rows written at once, the one of the others among them.
pub(super) const ROWS: usize = 8;
/// Between two writings; each that was full doubles it, up to [`LATEST`].
pub(super) const SOONEST: Duration = Duration::from_secs(60);
const LATEST: Duration = Duration::from_secs(3600);

/// What one transaction writes.
#[derive(Debug, Clone, Default)]
struct Batch {
    rows: Vec<(Place, Tally)>,
    others: Others,
    repeated: Vec<Repeated>,
    repeated_unnamed: u64,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.others.tally.is_none() && self.repeated.is_empty()
    }
}

impl FailedAttempts {
    /// Writes down what is due: who fails again and again at once, rows each minute, in a flood less often.
    pub async fn write_due(&self, app: &App) -> Result<(), Failure> {
        let is_due = self.gathered().due_at <= app.clock.monotonic();
        self.write_some(app, is_due).await
    }

    /// Writes down everything.
    pub async fn write_all(&self, app: &App) -> Result<(), Failure> {
        self.write_some(app, true).await
    }

    async fn write_some(&self, app: &App, with_rows: bool) -> Result<(), Failure> {
        let _writing = self.writing.lock().await;
        // Before the first admin there is nobody to tell.
        let Some(platform) = app.look(|tx| tx.platform_team_id()).await? else { return Ok(()) };
        let batch = self.take(with_rows);
        let is_flood = batch.others.tally.is_some();
        if !batch.is_empty() {
            let facts = facts(&batch, platform);
            let written = app.change(Priority::Normal, app.clock.now(), move |unit| {
                facts.iter().for_each(|fact| unit.happened(fact.clone()));
                Ok(())
            });
            written.await.inspect_err(|_| self.put_back(batch))?;
        }
        // Only what was written makes the next rows wait.
        if with_rows {
            self.gathered().pace(is_flood, app.clock.monotonic());
        }
        Ok(())
    }

    fn take(&self, with_rows: bool) -> Batch {
        let mut gathered = self.gathered();
        let mut batch = Batch {
            repeated: std::mem::take(&mut gathered.repeated),
            repeated_unnamed: std::mem::take(&mut gathered.repeated_unnamed),
            ..Batch::default()
        };
        if !with_rows {
            return batch;
        }
        batch.others = std::mem::take(&mut gathered.others);
        let places = std::mem::take(&mut gathered.places);
        for (_, place) in std::mem::take(&mut gathered.lowest_first).into_iter().rev() {
            let Some(tally) = places.get(&place).copied() else { continue };
            if batch.rows.len() + 1 < ROWS {
                batch.rows.push((place, tally));
            } else {
                batch.others.add(place.kind, tally);
            }
        }
        batch
    }

    fn put_back(&self, batch: Batch) {
        let mut gathered = self.gathered();
        batch.rows.into_iter().for_each(|(place, tally)| gathered.add(place, tally));
        gathered.others.merge(&batch.others);
        batch.repeated.into_iter().for_each(|repeated| gathered.name(repeated));
        gathered.repeated_unnamed = gathered.repeated_unnamed.saturating_add(batch.repeated_unnamed);
    }
}

impl Gathered {
    /// Says when rows may be written again, after some were: in a flood each time later.
    fn pace(&mut self, is_flood: bool, now: Duration) {
        self.every = if is_flood { (self.every * 2).min(LATEST) } else { SOONEST };
        self.due_at = now + if is_flood { self.every } else { Duration::ZERO };
    }
}

fn facts(batch: &Batch, platform: TeamId) -> Vec<Fact> {
    let mut facts: Vec<Fact> = batch.rows.iter().map(|(place, tally)| row(place, tally, platform)).collect();
    if let Some(tally) = batch.others.tally {
        let by_kind: Vec<(String, Value)> = batch
            .others
            .by_kind
            .iter()
            .map(|(kind, count)| (kind.as_str().to_owned(), json!(count)))
            .collect();
        let details = json!({ "kind": "others", "count": tally.count, "first": tally.first, "last": tally.last,
                              "by_kind": Value::Object(by_kind.into_iter().collect()) });
        let fact = Fact::new(Happening::LoginFailed, platform, &Author::system(), "others");
        facts.push(fact.outcome("refused").details(details));
    }
    facts.extend(batch.repeated.iter().map(|repeated| told(repeated, platform)));
    if batch.repeated_unnamed > 0 {
        let fact = Fact::new(Happening::LoginFailedRepeatedly, platform, &Author::system(), "others");
        facts.push(fact.details(json!({ "sources": batch.repeated_unnamed })));
    }
    facts
}

fn row(place: &Place, tally: &Tally, platform: TeamId) -> Fact {
    let source = text(place.source);
    let author = Author { source: source.clone(), ..Author::system() };
    let team_id = place.whom.map_or(platform, |whom| whom.team_id);
    let target = place.whom.map_or_else(|| place.kind.as_str().to_owned(), |whom| whom.user_id.to_string());
    Fact::new(Happening::LoginFailed, team_id, &author, target).outcome("refused").details(json!({
        "kind": place.kind.as_str(), "source": source,
        "count": tally.count, "first": tally.first, "last": tally.last,
    }))
}

fn told(repeated: &Repeated, platform: TeamId) -> Fact {
    let source = text(repeated.source);
    let author = Author { source: source.clone(), ..Author::system() };
    let team_id = repeated.whom.map_or(platform, |whom| whom.team_id);
    let subject = repeated.whom.map_or_else(|| source.clone(), |whom| whom.user_id.to_string());
    Fact::new(Happening::LoginFailedRepeatedly, team_id, &author, subject).details(json!({
        "kind": repeated.kind.as_str(), "source": source, "at": repeated.at,
        "failures": AGAIN_AND_AGAIN, "within_secs": WITHIN.as_secs(),
    }))
}

fn text(source: AddressBucket) -> String {
    match source.0 {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{address}/64"),
    }
}
