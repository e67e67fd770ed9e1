//! The log of a job: its end as it grows, any part of it, and the whole as a text.

use muster_ids::JobId;
use muster_wire::job::LogLine;
use muster_wire::page::Page;

use crate::api::Api;
use crate::refusal::Refusal;

/// Lines that are shown of the end.
pub(crate) const TAIL: u64 = 400;
/// Lines of one page of the API.
const PAGE: u64 = 200;
/// Most lines a job has; the server keeps no more.
const MOST: u64 = 10_001;

/// A part of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) lines: Vec<LogLine>,
    /// Whether there are lines before, and after.
    pub(crate) has_before: bool,
    pub(crate) has_after: bool,
}

impl Log {
    pub(crate) fn last(&self) -> u64 {
        self.lines.last().map_or(0, |line| line.n)
    }

    pub(crate) fn first(&self) -> u64 {
        self.lines.first().map_or(0, |line| line.n)
    }
}

/// Reads the end of a log. `known` is a line that was seen to be there, or 0.
pub(crate) async fn tail(api: &Api, id: JobId, known: u64) -> Result<Log, Refusal> {
    let known = known.min(MOST);
    let near = read(api, id, known.saturating_sub(TAIL)).await?;
    if !near.has_after {
        return Ok(near);
    }
    // It is longer than was known: the last line is looked for between what is there and what may be.
    let (mut there, mut beyond) = (near.last(), MOST);
    while there < beyond {
        let middle = there.midpoint(beyond);
        match page(api, id, middle, 1).await?.items.first() {
            Some(line) => there = line.n,
            None => beyond = middle,
        }
    }
    read(api, id, there.saturating_sub(TAIL)).await
}

/// Reads the lines after one: as many as are shown at once.
pub(crate) async fn read(api: &Api, id: JobId, after: u64) -> Result<Log, Refusal> {
    let mut log = Log { has_before: after > 0, ..Log::default() };
    let mut after = after;
    while (log.lines.len() as u64) < TAIL {
        let page = page(api, id, after, PAGE).await?;
        after = page.items.last().map_or(after, |line| line.n);
        log.lines.extend(page.items);
        log.has_after = page.next_cursor.is_some();
        if !log.has_after {
            break;
        }
    }
    Ok(log)
}

/// Reads all of it.
pub(crate) async fn whole(api: &Api, id: JobId) -> Result<String, Refusal> {
    let mut text = String::new();
    let mut after = 0;
    loop {
        let page = page(api, id, after, PAGE).await?;
        for line in &page.items {
            text.push_str(&line.text);
            text.push('\n');
        }
        let Some(last) = page.items.last().filter(|_| page.next_cursor.is_some()) else { return Ok(text) };
        after = last.n;
    }
}

async fn page(api: &Api, id: JobId, after: u64, limit: u64) -> Result<Page<LogLine>, Refusal> {
    api.get(&format!("/v1/jobs/{id}/log?after={after}&limit={limit}")).await
}
