use muster_wire::bounds::Whole;
use muster_wire::page::{Page, PageLimit};

use super::ApiError;

/// Items of a page when a whole list is read: the most the server gives.
const LARGEST: u64 = 200;

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items; the server's choice when not said.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageRequest {
    /// The first page, as large as the server gives them.
    pub fn first() -> Self {
        Self { limit: Some(Whole::clamped(LARGEST)), cursor: None }
    }
}

/// Reads pages until the list ends or holds `most` items. The page that comes back has a cursor if there is more.
pub async fn collect<T>(
    most: Option<u64>,
    read: impl AsyncFn(PageRequest) -> Result<Page<T>, ApiError>,
) -> Result<Page<T>, ApiError> {
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let missing = most.map_or(LARGEST, |most| most.saturating_sub(items.len() as u64));
        let page = read(PageRequest { limit: Some(Whole::clamped(missing)), cursor }).await?;
        // A page may hold nothing and say where to go on: nothing on it passed the filter.
        let is_last = page.next_cursor.is_none();
        items.extend(page.items);
        if is_last || most.is_some_and(|most| items.len() as u64 >= most) {
            return Ok(Page { items, next_cursor: page.next_cursor });
        }
        cursor = page.next_cursor;
    }
}

/// Writes a path with its query; parameters without a value are left out.
pub(super) fn path(base: &str, page: &PageRequest, filters: &[(&str, Option<String>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in filters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    if let Some(limit) = page.limit {
        query.append_pair("limit", &limit.get().to_string());
    }
    if let Some(cursor) = &page.cursor {
        query.append_pair("cursor", cursor);
    }
    let query = query.finish();
    if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
}

/// Writes a text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let query: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    query.replace('+', "%20")
}

/// Writes an enum of the wire as the word it has there.
pub(super) fn word<T: serde::Serialize>(value: T) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
