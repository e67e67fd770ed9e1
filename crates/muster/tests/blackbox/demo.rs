//! `muster demo --once --json`: the whole main job with real parts, as one document.

use std::path::Path;
use std::time::Duration;

use muster_testkit::binaries;
use serde_json::Value;

const PLAYS_WITHIN: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_holds_every_step() {
    binaries::beside(Path::new(env!("CARGO_BIN_EXE_muster")), "muster-agent");
    let temporary = tempfile::tempdir().unwrap();
    let mut command = binaries::command(Path::new(env!("CARGO_BIN_EXE_muster")));
    command.args(["demo", "--once", "--json"]).env("TMPDIR", temporary.path()).current_dir(temporary.path());
    let ended = binaries::run(command, None, PLAYS_WITHIN).await.unwrap();
    let document: Value =
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}:\n{}", ended.said()));
    assert_eq!(ended.code, 0, "{}", ended.said());

    let steps = document["steps"].as_array().unwrap();
    assert!(steps.len() >= 15, "{} steps", steps.len());
    for step in steps {
        assert_eq!(step["ok"], true, "{step}");
        assert!(step["name"].as_str().is_some_and(|name| !name.is_empty()) && step["ms"].is_u64(), "{step}");
    }
    let hosts = document["hosts"].as_array().unwrap();
    let mut doors: Vec<u64> = hosts.iter().filter_map(|host| host["door"].as_u64()).collect();
    doors.sort_unstable();
    doors.dedup();
    assert_eq!(doors, [1, 2, 3], "{hosts:?}");
    for host in hosts {
        assert!(host["id"].as_str().is_some_and(|id| id.starts_with("host_")), "{host}");
        assert!(
            host["disposition"].is_string() && host["state"].is_string() && host["presence"].is_string(),
            "{host}"
        );
    }
    assert!(hosts.iter().any(|host| host["disposition"] == "registered" && host["door"] == 2), "{hosts:?}");
    assert!(hosts.iter().any(|host| host["state"] == "retired"), "no host was retired: {hosts:?}");
    assert!(hosts.iter().any(|host| host["state"] == "active" && host["presence"] == "online"), "{hosts:?}");
    assert_eq!(document["claim"]["reason"], "collision", "{}", document["claim"]);
    assert_eq!(document["claim"]["resolution"], "new", "{}", document["claim"]);
    let snapshot = document["backup"]["snapshot_id"].as_str().unwrap_or_default();
    assert!(snapshot.len() >= 8 && snapshot.bytes().all(|byte| byte.is_ascii_hexdigit()), "{snapshot}");
    assert!(document["backup"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{}", document["backup"]);
    let left: Vec<_> =
        std::fs::read_dir(temporary.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "the demo leaves {left:?} behind");
}
