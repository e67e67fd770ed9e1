use clap::Args;
use muster_client::api::{Answer, EventFilter, EventStream, Streamed, collect};
use muster_wire::event::Event;
use muster_wire::page::{Order, Page};

use super::notify::happening;
use crate::failure::{Exit, Failure};
use crate::follow::{LOOK_EVERY, patiently};
use crate::operator::Operator;
use crate::output::visible;
use crate::words::moment;
use muster_wire::happening::Happening;

const EXAMPLES: &str = "\
Every event has a position; what came later has a greater one. With --after a script goes on exactly where
it left off: nothing is left out, nothing comes twice.

Examples:
  muster events
  muster events --kinds
  muster events --follow --kind host.unreachable --kind host.back
  muster events --after 1234 --all -o json
  muster events --follow --after 1234 -o json | jq -r .kind";

/// Events: what happened, as it is told to whoever listens
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Events {
    /// Go on with every new event, one line each, until Ctrl-C
    #[arg(long, short, conflicts_with_all = ["limit", "all"])]
    follow: bool,
    /// Only of this kind; repeat for several
    #[arg(long = "kind", value_name = "KIND", value_parser = happening)]
    kinds: Vec<Happening>,
    /// Only about this host, by name or id
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Only what happened to this id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Only after this position
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
    /// Show at most N: the newest, or with --after the first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Show every event
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// List the kinds of events instead
    #[arg(long = "kinds", conflicts_with_all = ["follow", "kinds", "host", "subject", "after", "limit", "all"])]
    list_kinds: bool,
}

const HEADER: [&str; 5] = ["POSITION", "AT", "KIND", "SUBJECT", "ACTOR"];

impl Events {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        if self.list_kinds {
            let kinds = operator.client.event_kinds().await?;
            let row = |kind: &muster_wire::event::EventKind| vec![kind.kind.clone(), kind.says.clone()];
            return operator.output.list(
                &kinds,
                |kind| kind.kind.clone(),
                &["KIND", "MEANS"],
                row,
                "no kinds",
            );
        }
        let host_id = match &self.host {
            Some(host) => Some(operator.host(host).await?),
            None => None,
        };
        let filter = EventFilter {
            kinds: self.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
            host_id,
            subject: self.subject.clone(),
            after: self.after,
        };
        if self.follow {
            return follow(operator, filter).await;
        }
        let page = self.page(operator, &filter).await?;
        operator.output.list(&page, |event| event.id.to_string(), &HEADER, row, "no events")
    }

    /// Reads on from a position, or back from the end and turns round what it read.
    async fn page(&self, operator: &Operator, filter: &EventFilter) -> Result<Page<Answer<Event>>, Failure> {
        let most = (!self.all).then_some(self.limit);
        let client = &operator.client;
        if self.after.is_some() {
            return Ok(collect(most, async |page| client.events(filter, Order::Asc, &page).await).await?);
        }
        let mut page = collect(most, async |page| client.events(filter, Order::Desc, &page).await).await?;
        page.items.reverse();
        // The cursor leads to older events, which are not what comes after these.
        page.next_cursor = None;
        Ok(page)
    }
}

/// Shows events as they happen; a stream that ends is opened anew where it ended.
async fn follow(operator: &Operator, mut filter: EventFilter) -> Result<(), Failure> {
    loop {
        let stream = patiently(async || operator.client.event_stream(&filter).await).await?;
        match tell(operator, stream, &mut filter).await {
            Err(failure) if failure.exit() != Exit::Unreachable => return Err(failure),
            Ok(()) | Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

async fn tell(operator: &Operator, mut stream: EventStream, filter: &mut EventFilter) -> Result<(), Failure> {
    while let Some(streamed) = stream.next().await? {
        match streamed {
            Streamed::Event(event) => {
                let line = |event: &Event| visible(&row(event).join("  "));
                operator.output.show(&event, |event| event.id.to_string(), line)?;
                filter.after = Some(event.position);
            }
            Streamed::Gap(gap) => {
                let (after, goes_on) = (gap.after, gap.goes_on_after);
                let why = if after > goes_on { "there is none of" } else { "not all are kept since" };
                operator.output.hint(&format!("{why} position {after}; going on after {goes_on}"));
                filter.after = Some(gap.goes_on_after);
            }
        }
    }
    Ok(())
}

fn row(event: &Event) -> Vec<String> {
    vec![
        event.position.to_string(),
        moment(event.at),
        event.kind.clone(),
        event.subject.clone(),
        event.actor.clone(),
    ]
}
