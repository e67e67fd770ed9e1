//! Pages: MACed, team-bound cursors over the last key of a page.

use muster_http::Problem;
use muster_ids::TeamId;
use muster_wire::page::{Order, Page, PageLimit};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::App;

/// Items of a page when the client does not say.
pub const DEFAULT_LIMIT: i64 = 50;

/// The query of a list without filters.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct PageQuery {
    /// How many items.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// The query of a list without filters that is read from either end.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct OrderedPageQuery {
    /// Which end comes first: `asc`, the oldest, when not said.
    pub order: Option<Order>,
    /// How many items.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Returns the name of a list in this order. A cursor is of one order: in the other it would go back to where it came from.
pub fn in_order(list: &str, order: Order) -> String {
    match order {
        Order::Asc => list.to_owned(),
        Order::Desc => format!("{list}.desc"),
    }
}

/// Returns the limit of a page.
pub fn limit(asked: Option<PageLimit>) -> i64 {
    asked.and_then(|limit| i64::try_from(limit.get()).ok()).unwrap_or(DEFAULT_LIMIT)
}

/// Opens a cursor of this list and team; a forged or foreign one is a 400.
pub fn open_cursor<K: DeserializeOwned>(
    app: &App,
    team_id: TeamId,
    list: &str,
    cursor: Option<&str>,
) -> Result<Option<K>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let key =
        app.keyring.open_cursor(team_id, list, cursor).and_then(|json| serde_json::from_slice(&json).ok());
    match key {
        Some(key) => Ok(Some(key)),
        None => Err(Problem::new(
            http::StatusCode::BAD_REQUEST,
            "invalid_cursor",
            "the cursor is not of this list",
        )),
    }
}

/// Makes a page of rows, of which one more than `limit` was read to know whether there are more.
pub fn page<R, T, K: Serialize>(
    app: &App,
    team_id: TeamId,
    list: &str,
    mut rows: Vec<R>,
    limit: i64,
    key: impl Fn(&R) -> K,
    view: impl Fn(R) -> T,
) -> Result<Page<T>, Problem> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = match rows.last().filter(|_| has_more) {
        Some(last) => Some(next_cursor(app, team_id, list, &key(last))?),
        None => None,
    };
    Ok(Page { items: rows.into_iter().map(view).collect(), next_cursor })
}

/// Seals the key after which the next page of a list begins.
pub fn next_cursor<K: Serialize>(app: &App, team_id: TeamId, list: &str, key: &K) -> Result<String, Problem> {
    let json = serde_json::to_vec(key).map_err(Problem::internal)?;
    Ok(app.keyring.seal_cursor(team_id, list, &json))
}
