//! A server that was set up, and its owner with a login and a password.

use std::path::{Path, PathBuf};

use http::Method;
use muster_testkit::browser::Flow;
use serde_json::{Value, json};

use crate::harness::{Backend, Installation, Server};

pub(super) const LOGIN: &str = "ada";
/// Who may change the installation.
const ADMIN: &str = "root";
pub(super) const PASSWORD: &str = "seven green bottles";

/// What the flows of one test share.
pub(super) struct Scene {
    pub(super) installation: Installation,
}

impl Scene {
    pub(super) async fn start() -> Self {
        Self::over(Installation::start(Backend::Sqlite).await).await
    }

    pub(super) async fn over(installation: Installation) -> Self {
        for (login, token) in [(LOGIN, &installation.owner.token), (ADMIN, &installation.admin.token)] {
            for (path, body) in
                [("/v1/me/login", json!({ "login": login })), ("/v1/me/password", json!({ "new": PASSWORD }))]
            {
                let set = installation.server.ask(Method::PUT, path, Some(token), Some(&body)).await;
                assert!(set.status < 300, "{path}: {}", set.text);
            }
        }
        Self { installation }
    }

    /// Plays a flow as the owner of the team.
    pub(super) fn play(&self, script: &str, mut settings: Value) -> Flow {
        (settings["login"], settings["password"]) = (LOGIN.into(), PASSWORD.into());
        settings["admin"] = ADMIN.into();
        play(&self.installation.server, script, &settings)
    }

    /// Gives a host a repository and a job that waits for its agent; returns the job.
    pub(super) async fn job(&self, host: &str, path: &str) -> Value {
        let repository = json!({ "url": "/srv/repository", "password": "opens-it" });
        let secret = format!("/v1/hosts/{host}/secrets/repo");
        let set = self.installation.ask(Method::PUT, &secret, Some(&repository)).await;
        assert_eq!(set.status, 200, "{}", set.text);
        let work = json!({ "work": { "kind": "backup", "paths": [path] } });
        self.post(&format!("/v1/hosts/{host}/jobs"), &work).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Value {
        let reply = self.installation.ask(Method::POST, path, Some(body)).await;
        assert!(reply.status < 300, "{path}: {}", reply.text);
        reply.json
    }
}

/// Plays a flow over the operators' listener of a server.
pub(super) fn play(server: &Server, script: &str, settings: &Value) -> Flow {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackbox/browser");
    let url = format!("http://{}", server.operators);
    Flow::start(&scripts.join(script).with_extension("mjs"), &url, settings, &screenshots()).unwrap()
}

/// Where the pictures go: beside the folders of cargo's profiles.
fn screenshots() -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_muster")).parent().unwrap();
    programs.parent().unwrap().join("screenshots")
}
