//! What a support bundle of the server holds: put together field by field from what is known not to be secret. No row
//! and no file is ever copied into it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use muster_client::{Dialer, ProxyRules, Timeouts};
use muster_edge::Clock;
use muster_ids::Timestamp;
use muster_server::backup::Place;
use muster_server::settings::parse;
use muster_store::{Location, MIGRATIONS, Store, StoreConfig, StoreError};
use muster_wire::settings::SettingName;
use serde::Serialize;
use url::Url;

use crate::commands::place::ServerListeners;

const STEP_WITHIN: Duration = Duration::from_secs(5);
const LOG: &str =
    "the server logs to standard error and keeps nothing; under systemd it is `journalctl -u muster`";
const MOST_FILES: usize = 200;

/// What is given away.
#[derive(Debug, Serialize)]
pub(super) struct Bundle {
    made_at: Timestamp,
    version: &'static str,
    listeners: Listening,
    database: Database,
    data_folder: Vec<StoredFile>,
    log: &'static str,
}

/// What answers, and what it says.
#[derive(Debug, Serialize)]
struct Listening {
    operators: SocketAddr,
    machines: SocketAddr,
    healthz: Answered,
    readyz: Answered,
    /// OpenMetrics: numbers under closed sets of labels; when background work last went well is among them.
    metrics: Answered,
    /// SHA-256 of the key the machines' listener shows, base64url: it is in every join string.
    machines_pin: Option<String>,
}

/// An answer, or why there is none.
#[derive(Debug, Serialize)]
struct Answered {
    status: Option<u16>,
    body: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Database {
    kind: &'static str,
    /// Migrations the program knows.
    known_schema: u32,
    /// Why the rest is missing.
    error: Option<String>,
    #[serde(flatten)]
    content: Option<Content>,
}

#[derive(Debug, Default, Serialize)]
struct Content {
    /// The last migration that was applied.
    schema: Option<u32>,
    /// The value of every setting.
    settings: BTreeMap<&'static str, u64>,
    /// Rows of each table; `null`: counting took too long.
    rows: BTreeMap<String, Option<u64>>,
}

/// A file, without its content.
#[derive(Debug, Serialize)]
struct StoredFile {
    name: String,
    bytes: u64,
    mode: String,
    owner: u32,
    modified_at: Timestamp,
}

/// Puts a bundle together.
pub(super) async fn collect(place: Place, listeners: ServerListeners) -> Bundle {
    let location = place.location();
    let mut data_folder = Vec::new();
    list(&place.data_dir, "", &mut data_folder);
    Bundle {
        made_at: Clock::system().now(),
        version: env!("CARGO_PKG_VERSION"),
        listeners: listening(listeners).await,
        database: database(location).await,
        data_folder,
        log: LOG,
    }
}

async fn listening(listeners: ServerListeners) -> Listening {
    let ServerListeners { operators, machines } = listeners;
    let timeouts = Timeouts { connect: STEP_WITHIN, handshake: STEP_WITHIN, response: STEP_WITHIN };
    // It is asked what everybody may ask, without a credential.
    let dialer = Dialer::new(&[], ProxyRules::none(), timeouts);
    let ask = async |path: &str| match &dialer {
        Ok(dialer) => Answered::of(dialer, operators, path).await,
        Err(error) => Answered { status: None, body: None, error: Some(error.to_string()) },
    };
    let here = match machines.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), machines.port()),
        _ => machines,
    };
    let machines_pin = match (&dialer, Url::parse(&format!("https://{here}"))) {
        (Ok(dialer), Ok(url)) => dialer.presented_pin(&url).await,
        _ => None,
    };
    Listening {
        operators,
        machines,
        healthz: ask("/healthz").await,
        readyz: ask("/readyz").await,
        metrics: ask("/metrics").await,
        machines_pin,
    }
}

impl Answered {
    async fn of(dialer: &Dialer, operators: SocketAddr, path: &str) -> Self {
        let failed = |error: String| Self { status: None, body: None, error: Some(error) };
        let (Ok(url), Ok(request)) =
            (Url::parse(&format!("http://{operators}{path}")), Request::get(path).body(Bytes::new()))
        else {
            return failed("the address makes no URL".to_owned());
        };
        match dialer.request(request, &url).await {
            Ok(answer) => Self {
                status: Some(answer.status.as_u16()),
                // Whoever else listens there may say anything.
                body: answer.status.is_success().then(|| String::from_utf8_lossy(&answer.body).into_owned()),
                error: None,
            },
            Err(error) => failed(error.to_string()),
        }
    }
}

async fn database(location: Location) -> Database {
    let kind = match &location {
        Location::Sqlite(_) => "sqlite",
        Location::Postgres(_) => "postgres",
    };
    let known_schema = MIGRATIONS.last().map_or(0, |(version, _, _)| *version);
    let read = async {
        let store = Store::open_to_read(StoreConfig::new(location, Clock::system())).await?;
        let content = content(&store).await;
        store.close().await;
        content
    };
    match read.await {
        Ok(content) => Database { kind, known_schema, error: None, content: Some(content) },
        // Its own words alone: what a driver says of it may quote the address of the database.
        Err(error) => Database { kind, known_schema, error: Some(error.to_string()), content: None },
    }
}

async fn content(store: &Store) -> Result<Content, StoreError> {
    let versions = store.read(|tx| tx.schema_versions()).await?;
    let Some(versions) = versions else { return Ok(Content::default()) };
    let schema = versions.last().map(|(version, _)| *version);
    let set = store.read(|tx| tx.settings()).await?;
    let value = |name: SettingName| {
        let set = set.iter().find(|row| row.name == name.as_str());
        (name.as_str(), set.and_then(|row| parse(name, &row.value)).unwrap_or(name.default_value()))
    };
    let mut rows = BTreeMap::new();
    for table in store.read(|tx| tx.tables()).await? {
        let name = table.name().to_owned();
        let counted = store.read(move |tx| tx.table_count(&table)).await;
        rows.insert(name, counted.ok());
    }
    Ok(Content { schema, settings: SettingName::ALL.iter().copied().map(value).collect(), rows })
}

/// Lists the files below a folder, without their contents.
fn list(folder: &Path, below: &str, files: &mut Vec<StoredFile>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (Ok(found), name) = (entry.metadata(), entry.file_name()) else { continue };
        let name = format!("{below}{}", name.to_string_lossy());
        if found.is_dir() {
            list(&entry.path(), &format!("{name}/"), files);
        } else if files.len() < MOST_FILES {
            files.push(StoredFile {
                name,
                bytes: found.len(),
                mode: format!("{:04o}", found.mode() & 0o7777),
                owner: found.uid(),
                modified_at: Timestamp::from_millis(found.mtime().saturating_mul(1000)),
            });
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
}
