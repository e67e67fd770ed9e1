//! `/v1/audit/export`: the trail as lines of JSON, read page by page while they are sent.
//!
//! A task reads and hands on; it holds the place of the stream, so that a revocation finds it. Whatever ends the
//! download early breaks the connection: a file that arrived whole is whole.

use std::io;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{self, MediaType, Operation, SchemaObject, StatusCode as DocumentedStatus};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use muster_http::{Problem, SameOrigin, StrictQuery};
use muster_ids::{HostId, Timestamp};
use muster_store::StoreError;
use muster_store::rows::{AuditFilter, AuditRow};
use muster_wire::audit::{ActionList, AuditEntry};
use muster_wire::happening::Happening;
use muster_wire::page::Order;
use muster_wire::permission::Permission;
use muster_wire::text::Line;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::view;
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::problems::too_many_streams;
use crate::revocations::must_be_seen;
use crate::streams::Stream;
use crate::unit::Fact;

/// Rows that are read at a time.
const BATCH: i64 = 200;
/// Batches that wait for a slow reader; what comes after them waits in the database.
const WAITING: usize = 2;

/// The query of an export.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct ExportQuery {
    /// Only these actions, between commas.
    pub action: Option<ActionList>,
    /// Only what was done to this.
    pub target: Option<Line<128>>,
    /// Only what is about this host.
    pub host_id: Option<HostId>,
    /// Only what this one did: a person, a host, or `system`.
    pub actor: Option<Line<128>>,
    /// Only what ended like this: `ok`, or the code of a refusal.
    pub outcome: Option<Line<64>>,
    /// Nothing from before this time.
    pub since: Option<Timestamp>,
    /// Only what is from before this time.
    pub until: Option<Timestamp>,
    /// Of all teams; for admins.
    pub all_teams: Option<bool>,
}

impl ExportQuery {
    fn filter(&self) -> AuditFilter {
        AuditFilter {
            actions: self.action.as_ref().map(ActionList::words).unwrap_or_default(),
            target: self.target.as_ref().map(ToString::to_string),
            host_id: self.host_id,
            actor: self.actor.as_ref().map(ToString::to_string),
            outcome: self.outcome.as_ref().map(ToString::to_string),
            since: self.since,
            until: self.until,
            after: 0,
        }
    }

    /// Says in the trail what was asked for.
    fn details(&self, through: i64) -> serde_json::Value {
        json!({
            "all_teams": self.all_teams.unwrap_or(false), "through": through,
            "action": self.action.as_ref().map(ActionList::words), "target": self.target, "host_id": self.host_id,
            "actor": self.actor, "outcome": self.outcome, "since": self.since, "until": self.until,
        })
    }
}

/// `GET /v1/audit/export`
///
/// Writes an entry, though it is a GET: no page of another site may have it written with a person's cookie.
pub async fn export(
    State(app): State<App>,
    _: SameOrigin,
    actor: Actor<permits::ReadAudit>,
    StrictQuery(query): StrictQuery<ExportQuery>,
) -> Result<AuditLines, Problem> {
    let of_all_teams = query.all_teams == Some(true);
    if of_all_teams && !(actor.reach.covers(Permission::ManageAudit) && actor.bound_team_id.is_none()) {
        let detail = "the trail of all teams is for admins";
        return Err(Failure::Forbidden { code: "forbidden", detail }.into());
    }
    must_be_seen(&app)?;
    let stream = app.streams.open(actor.user_id, actor.credential).ok_or_else(too_many_streams)?;
    let filter = query.filter();
    let exported = actor.clone().change(&app, app.clock.now(), move |unit, actor| {
        let through = unit.tx.audit_last()?.position;
        let fact = Fact::new(Happening::AuditExported, actor.team_id, &actor.author(), "audit");
        unit.happened(fact.details(query.details(through)));
        Ok(through)
    });
    let through = exported.await?;
    let (sender, batches) = mpsc::channel(WAITING);
    let cut = stream.cut().clone();
    let reading = Reading { app, actor, filter, of_all_teams, through, sender };
    tokio::spawn(reading.run(stream));
    Ok(AuditLines { batches, cut })
}

struct Reading {
    app: App,
    actor: Actor<permits::ReadAudit>,
    filter: AuditFilter,
    of_all_teams: bool,
    /// What is sealed after this is not exported: a busy trail has an end, too.
    through: i64,
    sender: mpsc::Sender<io::Result<Bytes>>,
}

/// One batch, and where the next begins; nowhere, at the end.
struct Batch {
    lines: Vec<u8>,
    next: Option<i64>,
}

impl Reading {
    async fn run(self, stream: Stream) {
        let cut = stream.cut().clone();
        tokio::select! {
            biased;
            () = cut.cancelled() => {}
            () = self.read_all() => {}
        }
        // Last: whoever cut the stream waits for it.
        drop(stream);
    }

    async fn read_all(&self) {
        let mut after = 0;
        loop {
            let (read, next) = match self.read(after).await {
                Ok(Some(batch)) => (Ok(Bytes::from(batch.lines)), batch.next),
                Ok(None) => (Err(io::Error::other("the credential does not hold any more")), None),
                Err(error) => {
                    tracing::warn!(%error, "reading the audit trail for an export failed, breaking it off");
                    (Err(io::Error::other("reading failed")), None)
                }
            };
            let is_over = self.sender.send(read).await.is_err();
            match next {
                Some(next) if !is_over => after = next,
                _ => return,
            }
        }
    }

    /// Reads what comes next, if the credential still holds in the same snapshot.
    async fn read(&self, after: i64) -> Result<Option<Batch>, Failure> {
        let (actor, filter, now) = (self.actor.clone(), self.filter.clone(), self.app.clock.now());
        let heard_at = self.app.uses.of(actor.credential.used());
        let (of_all_teams, through) = (self.of_all_teams, self.through);
        let read = self.app.look(move |tx| {
            if !actor.holds(tx, heard_at, now)? {
                return Ok(None);
            }
            let rows: Vec<(i64, AuditRow)> = if of_all_teams {
                let corrupt = || StoreError::corrupt("a row of the audit trail");
                let rows = tx.audit_after(after, BATCH)?.into_iter();
                rows.map(|row| Ok((row.position, row.row.ok_or_else(corrupt)?)))
                    .collect::<Result<_, StoreError>>()?
            } else {
                let rows = tx.audit_page(actor.team_id, &filter, Order::Asc, Some(after), BATCH)?;
                rows.into_iter()
                    .map(|row| (i64::try_from(row.position).unwrap_or(i64::MAX), row.row))
                    .collect()
            };
            Ok(Some(rows))
        });
        let Some(rows) = read.await? else { return Ok(None) };
        let next = rows.last().map(|(position, _)| *position);
        let next = next.filter(|last| rows.len() as i64 >= BATCH && *last < through);
        let mut lines = Vec::new();
        for (position, row) in
            rows.into_iter().filter(|(position, row)| *position <= through && self.filter.fits(row))
        {
            serde_json::to_writer(&mut lines, &view(position.unsigned_abs(), row))
                .map_err(Failure::internal)?;
            lines.push(b'\n');
        }
        Ok(Some(Batch { lines, next }))
    }
}

/// The reply of an export.
#[derive(Debug)]
pub struct AuditLines {
    batches: mpsc::Receiver<io::Result<Bytes>>,
    cut: CancellationToken,
}

impl IntoResponse for AuditLines {
    fn into_response(self) -> Response {
        let batches = futures_util::stream::unfold(Some(self), |open| async {
            let mut open = open?;
            tokio::select! {
                biased;
                () = open.cut.cancelled() => Some((Err(io::Error::other("the export was cut")), None)),
                batch = open.batches.recv() => batch.map(|batch| {
                    let goes_on = batch.is_ok();
                    (batch, goes_on.then_some(open))
                }),
            }
        });
        let mut response = Response::new(Body::from_stream(batches));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"audit.jsonl\""));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl OperationOutput for AuditLines {
    type Inner = AuditEntry;

    fn operation_response(ctx: &mut GenContext, _: &mut Operation) -> Option<openapi::Response> {
        let json_schema = ctx.schema.subschema_for::<AuditEntry>();
        let media = MediaType {
            schema: Some(SchemaObject { json_schema, example: None, external_docs: None }),
            ..MediaType::default()
        };
        Some(openapi::Response {
            description:
                "JSON lines: each line, ended by a line feed, is one entry as described here. A connection \
                          that breaks before the end of the body means that the export is not whole."
                    .to_owned(),
            content: [("application/jsonl".to_owned(), media)].into_iter().collect(),
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
