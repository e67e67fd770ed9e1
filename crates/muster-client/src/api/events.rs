use muster_ids::HostId;
use muster_wire::event::{Event, EventGap, EventKind};
use muster_wire::page::{Order, Page};
use serde::de::DeserializeOwned;

use super::{Answer, ApiError, OperatorClient, PageRequest, page::path, page::word};
use crate::download::Download;

/// Longest line of a stream that is read.
const LONGEST_LINE: usize = 1024 * 1024;

/// Which events to read; everything left out matches all.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only of these kinds.
    pub kinds: Vec<String>,
    /// Only about this host.
    pub host_id: Option<HostId>,
    /// Only what happened to this.
    pub subject: Option<String>,
    /// Only after this position.
    pub after: Option<u64>,
}

impl EventFilter {
    fn parameters(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("kind", (!self.kinds.is_empty()).then(|| self.kinds.join(","))),
            ("host_id", self.host_id.map(|id| id.to_string())),
            ("subject", self.subject.clone()),
            ("after", self.after.map(|after| after.to_string())),
        ]
    }
}

/// What a stream of events says.
#[derive(Debug)]
pub enum Streamed {
    /// Something happened.
    Event(Box<Answer<Event>>),
    /// What was asked for is not kept any more.
    Gap(EventGap),
}

/// An open stream of events.
#[derive(Debug)]
pub struct EventStream {
    download: Download,
    text: Vec<u8>,
    event: String,
    data: String,
}

impl EventStream {
    /// Returns what comes next; `None`: the server ended the stream, and may be asked for another one.
    pub async fn next(&mut self) -> Result<Option<Streamed>, ApiError> {
        loop {
            while let Some(line) = self.line()? {
                if let Some(streamed) = self.take(&line)? {
                    return Ok(Some(streamed));
                }
            }
            match self.download.next().await? {
                Some(piece) => self.text.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }

    fn line(&mut self) -> Result<Option<String>, ApiError> {
        let Some(end) = self.text.iter().position(|byte| *byte == b'\n') else {
            return if self.text.len() > LONGEST_LINE { Err(ApiError::Answer(None)) } else { Ok(None) };
        };
        let rest = self.text.split_off(end + 1);
        let line = std::mem::replace(&mut self.text, rest);
        let line = String::from_utf8(line).map_err(|_| ApiError::Answer(None))?;
        Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Takes one line; the empty one ends what the lines before it said.
    fn take(&mut self, line: &str) -> Result<Option<Streamed>, ApiError> {
        if !line.is_empty() {
            match line.split_once(": ") {
                Some(("event", event)) => event.clone_into(&mut self.event),
                Some(("data", data)) => data.clone_into(&mut self.data),
                _ => {}
            }
            return Ok(None);
        }
        let (event, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        if data.is_empty() {
            return Ok(None);
        }
        if event == "gap" { read(&data).map(Streamed::Gap) } else { read(&data).map(Streamed::Event) }
            .map(Some)
    }
}

fn read<T: DeserializeOwned>(data: &str) -> Result<T, ApiError> {
    serde_json::from_str(data).map_err(|error| ApiError::Answer(Some(error)))
}

impl OperatorClient {
    /// `GET /v1/events`: by position.
    pub async fn events(
        &self,
        filter: &EventFilter,
        order: Order,
        page: &PageRequest,
    ) -> Result<Page<Answer<Event>>, ApiError> {
        let mut parameters = filter.parameters();
        parameters.push(("order", word(order).filter(|_| order != Order::default())));
        self.get(&path("/v1/events", page, &parameters)).await
    }

    /// `GET /v1/events/stream`: from now on, or after the position of the filter.
    pub async fn event_stream(&self, filter: &EventFilter) -> Result<EventStream, ApiError> {
        let path = path("/v1/events/stream", &PageRequest::default(), &filter.parameters());
        let download = self.download(&path).await?;
        Ok(EventStream { download, text: Vec::new(), event: String::new(), data: String::new() })
    }

    /// `GET /v1/event-kinds`
    pub async fn event_kinds(&self) -> Result<Page<Answer<EventKind>>, ApiError> {
        self.get("/v1/event-kinds").await
    }
}
