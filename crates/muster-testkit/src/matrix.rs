//! A homeserver of Matrix, Synapse, with one account in one room; it dies with its value.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::binaries::Running;
use crate::{http, ports, python};

const PACKAGES: &str = include_str!("../python/matrix.txt");
const WITHIN: Duration = Duration::from_secs(20);

/// A homeserver that answers.
#[derive(Debug)]
pub struct Homeserver {
    address: SocketAddr,
    /// The access token of the account.
    pub token: String,
    /// The room it is in.
    pub room: String,
    _synapse: Running,
}

impl Homeserver {
    /// Starts a homeserver with its data in `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let address = ports::free();
        let config = folder.join("homeserver.json");
        fs::write(&config, configuration(folder, address.port()).to_string())?;
        let packages: Vec<&str> = PACKAGES.lines().collect();
        let venv = python::venv(&packages);
        let arguments = ["-m", "synapse.app.homeserver", "--config-path"];
        let keys = venv.command("python").args(arguments).arg(&config).arg("--generate-keys").output()?;
        if !keys.status.success() {
            bail!("the homeserver has no key: {}", String::from_utf8_lossy(&keys.stderr));
        }
        let mut command = venv.command("python");
        command.current_dir(folder).args(arguments).arg(&config);
        let synapse = Running::start(command, &folder.join("synapse.log"))?;
        let mut homeserver = Self { address, token: String::new(), room: String::new(), _synapse: synapse };
        homeserver.answers().await?;
        let account =
            json!({ "username": "muster", "password": "a long word", "auth": { "type": "m.login.dummy" } });
        let registered = homeserver.ask("POST", "/_matrix/client/v3/register", &account).await?;
        homeserver.token = text(&registered, "access_token")?;
        let room = homeserver.ask("POST", "/_matrix/client/v3/createRoom", &json!({})).await?;
        homeserver.room = text(&room, "room_id")?;
        Ok(homeserver)
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what was said in the room, the oldest first.
    pub async fn messages(&self) -> Result<Vec<Value>> {
        let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=100", self.room);
        let page = self.ask("GET", &path, &Value::Null).await?;
        let events = page["chunk"].as_array().context("the room has no events")?;
        let said = events.iter().filter(|event| event["type"] == "m.room.message");
        let mut said: Vec<Value> = said.map(|event| event["content"].clone()).collect();
        said.reverse();
        Ok(said)
    }

    async fn answers(&mut self) -> Result<()> {
        for _ in 0..1200 {
            if self.ask("GET", "/_matrix/client/versions", &Value::Null).await.is_ok() {
                return Ok(());
            }
            if !self._synapse.is_running() {
                bail!("the homeserver ended at once: {}", self._synapse.said());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the homeserver does not answer: {}", self._synapse.said())
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let token = if self.token.is_empty() {
            String::new()
        } else {
            format!("authorization: Bearer {}\r\n", self.token)
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{token}connection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let answer = http::ask(self.address, request.as_bytes(), WITHIN).await?.context("no answer")?;
        if answer.status != 200 {
            bail!("{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(answer.json())
    }
}

/// Synapse reads YAML, and JSON is YAML.
fn configuration(folder: &Path, port: u16) -> Value {
    let free = json!({ "per_second": 1000, "burst_count": 1000 });
    json!({
        "server_name": "localhost",
        "listeners": [{
            "port": port, "type": "http", "tls": false, "bind_addresses": ["127.0.0.1"],
            "resources": [{ "names": ["client"], "compress": false }],
        }],
        "database": { "name": "sqlite3", "args": { "database": folder.join("homeserver.db") } },
        "signing_key_path": folder.join("signing.key"),
        "media_store_path": folder.join("media"),
        "macaroon_secret_key": "only for tests",
        "form_secret": "only for tests",
        "report_stats": false,
        "trusted_key_servers": [],
        "enable_registration": true,
        "enable_registration_without_verification": true,
        "rc_message": free, "rc_registration": free, "rc_login": { "address": free, "account": free },
    })
}

fn text(answer: &Value, name: &str) -> Result<String> {
    Ok(answer[name].as_str().with_context(|| format!("no {name} in {answer}"))?.to_owned())
}
