//! The stream of events (server-sent events, WHATWG HTML §9.2): resumable, bounded, cut with its credential.
//!
//! A task reads what is sealed and hands it on frame by frame; it holds the stream's place, so that the place is free,
//! and nothing is read any more, as soon as the stream is cut. The body ends with the cut as well, whatever was handed
//! on before: after a revocation was answered not one more event leaves.

use std::time::Duration;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{self, MediaType, Operation, StatusCode as DocumentedStatus};
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use muster_http::Problem;
use muster_store::StoreError;
use muster_store::rows::{EventFilter, EventRow};
use muster_wire::event::{EventGap, Position};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::auth::{Actor, permits};
use crate::events::view;
use crate::failure::Failure;
use crate::revocations::must_be_seen;
use crate::router::header_parameter;
use crate::streams::Stream;

/// When clients are asked to come back.
pub const COME_BACK_AFTER: Duration = Duration::from_secs(2);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A comment this often keeps proxies from closing the stream; the credential is looked at as well.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Events read at a time.
const BATCH: i64 = 100;
/// Frames that wait for a slow reader; the events after them wait in the database.
const WAITING: usize = 8;

/// Where a client that comes back left off.
#[derive(Debug, Clone, Copy)]
pub struct LastEventId(pub Option<i64>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(LAST_EVENT_ID).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let position = value.to_str().ok().and_then(|text| Position::new(text.parse().ok()?));
        match (position, values.next()) {
            (Some(position), None) => Ok(Self(Some(place(position)))),
            _ => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_last_event_id",
                "the last-event-id header is not the id of an event",
            )),
        }
    }
}

/// Returns the position as the database has it.
pub fn place(position: Position) -> i64 {
    i64::try_from(position.get()).unwrap_or(i64::MAX)
}

impl aide::OperationInput for LastEventId {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        let schema = schemars::json_schema!({ "type": "string", "pattern": "^[0-9]{1,15}$" });
        let says = "The id of the last event that arrived; goes before `after`.";
        operation.parameters.push(header_parameter("Last-Event-ID", says, schema));
    }
}

/// The reply that tells of events as they happen.
#[derive(Debug)]
pub struct EventStream {
    frames: mpsc::Receiver<Bytes>,
    cut: CancellationToken,
}

/// Opens a stream. `None`: there are as many as may be.
pub async fn open(
    app: &App,
    actor: Actor<permits::ReadEvents>,
    filter: EventFilter,
    after: Option<i64>,
) -> Result<Option<EventStream>, Failure> {
    must_be_seen(app)?;
    let Some(stream) = app.streams.open(actor.user_id, actor.credential) else { return Ok(None) };
    // Before the first look: what is sealed after it wakes the stream.
    let news = app.news.events();
    let (head, dropped) = app.look(|tx| Ok((tx.outbox_last()?, tx.events_dropped()?))).await?;
    let (sender, frames) = mpsc::channel(WAITING);
    let cut = stream.cut().clone();
    let told = Telling { app: app.clone(), actor, filter, sender, last: after.unwrap_or(head) };
    tokio::spawn(told.run(stream, news, head, dropped));
    Ok(Some(EventStream { frames, cut }))
}

struct Telling {
    app: App,
    actor: Actor<permits::ReadEvents>,
    filter: EventFilter,
    sender: mpsc::Sender<Bytes>,
    /// The position up to which everything was told.
    last: i64,
}

/// The client went, or the credential does not hold any more.
struct Over;

impl Telling {
    async fn run(mut self, stream: Stream, news: watch::Receiver<i64>, head: i64, dropped: i64) {
        let cut = stream.cut().clone();
        tokio::select! {
            biased;
            () = cut.cancelled() => {}
            _ = self.tell(news, head, dropped) => {}
        }
        // Last: whoever cut the stream waits for it.
        drop(stream);
    }

    async fn tell(&mut self, mut news: watch::Receiver<i64>, head: i64, dropped: i64) -> Result<(), Over> {
        self.hand_on(format!("retry: {}\n\n", COME_BACK_AFTER.as_millis())).await?;
        self.tell_of_gap(head, dropped).await?;
        loop {
            let rows = self.read().await?;
            let is_full = rows.len() as i64 >= BATCH;
            for row in rows {
                self.last = row.position;
                if self.filter.takes(&row) {
                    self.hand_on(event_frame(row)).await?;
                }
            }
            if is_full {
                continue;
            }
            tokio::select! {
                () = self.sender.closed() => return Err(Over),
                _ = news.changed() => {}
                () = tokio::time::sleep(KEEP_ALIVE) => self.hand_on(":\n\n".to_owned()).await?,
            }
        }
    }

    /// Says what cannot be told any more: events that were dropped, or that a database of before never had.
    async fn tell_of_gap(&mut self, head: i64, dropped: i64) -> Result<(), Over> {
        let goes_on_after = if self.last > head { head } else { self.last.max(dropped.min(head)) };
        if goes_on_after == self.last {
            return Ok(());
        }
        let gap = EventGap {
            after: u64::try_from(self.last).unwrap_or_default(),
            goes_on_after: u64::try_from(goes_on_after).unwrap_or_default(),
        };
        self.last = goes_on_after;
        let data = serde_json::to_string(&gap).unwrap_or_default();
        self.hand_on(format!("event: gap\nid: {goes_on_after}\ndata: {data}\n\n")).await
    }

    /// Reads what comes next, if the credential still holds in the same snapshot.
    async fn read(&self) -> Result<Vec<EventRow>, Over> {
        let (actor, last, now) = (self.actor.clone(), self.last, self.app.clock.now());
        let heard_at = self.app.uses.of(actor.credential.used());
        let read = self.app.look(move |tx| {
            let rows = if actor.holds(tx, heard_at, now)? {
                Some(tx.events_after(actor.team_id, last, BATCH)?)
            } else {
                None
            };
            Ok::<_, StoreError>(rows)
        });
        match read.await {
            Ok(rows) => rows.ok_or(Over),
            Err(error) => {
                tracing::warn!(%error, "reading events for a stream failed, closing it");
                Err(Over)
            }
        }
    }

    async fn hand_on(&self, frame: String) -> Result<(), Over> {
        self.sender.send(Bytes::from(frame)).await.map_err(|_| Over)
    }
}

fn event_frame(row: EventRow) -> String {
    let event = view(row);
    // JSON is one line, and kinds are words of this program.
    let data = serde_json::to_string(&event).unwrap_or_default();
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.position, event.kind)
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        let frames = futures_util::stream::unfold(Some(self), |open| async {
            let mut open = open?;
            tokio::select! {
                biased;
                () = open.cut.cancelled() => {
                    let hint = format!("retry: {}\n\n", COME_BACK_AFTER.as_millis());
                    Some((Ok::<_, std::convert::Infallible>(Bytes::from(hint)), None))
                }
                frame = open.frames.recv() => frame.map(|frame| (Ok(frame), Some(open))),
            }
        });
        let mut response = Response::new(Body::from_stream(frames));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Some proxies gather what they pass on.
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        response
    }
}

impl OperationOutput for EventStream {
    type Inner = Self;

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<openapi::Response> {
        Some(openapi::Response {
            description: "Server-sent events: `id` is the position, `event` the kind, `data` the event as in \
                          `GET /v1/events`; first an event `gap` when what was asked for is not kept any more."
                .to_owned(),
            content: [("text/event-stream".to_owned(), MediaType::default())].into_iter().collect(),
            ..openapi::Response::default()
        })
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<DocumentedStatus>, openapi::Response)> {
        let status = Some(DocumentedStatus::Code(200));
        Self::operation_response(ctx, operation).map(|response| vec![(status, response)]).unwrap_or_default()
    }
}
