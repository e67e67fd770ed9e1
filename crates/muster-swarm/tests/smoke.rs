//! The swarm and the real server, on both databases: that everything works, not how fast.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::path::Path;
use std::time::Duration;

use muster_testkit::binaries;

const WITHIN: Duration = Duration::from_secs(240);

async fn plays(scenario: &str, database: &str) {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(scenario);
    let swarm = Path::new(env!("CARGO_BIN_EXE_muster-swarm"));
    let mut command = binaries::command(swarm);
    command.arg("run").arg(&scenario).args(["--database", database]);
    command.arg("--muster").arg(binaries::beside(swarm, "muster"));
    let ended = binaries::run(command, None, WITHIN).await.unwrap();
    let said = ended.succeeded();
    let steps = std::fs::read_to_string(scenario).unwrap();
    let steps = steps.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    assert_eq!(said.lines().count(), steps + 1, "a step said nothing:\n{said}");
}

#[tokio::test]
async fn every_client_joins_connects_and_comes_back_on_sqlite() {
    plays("smoke.txt", "sqlite").await;
}

#[tokio::test]
async fn every_client_joins_connects_and_comes_back_on_postgres() {
    plays("smoke.txt", "postgres").await;
}

#[tokio::test]
async fn what_is_no_scenario_is_refused_with_its_line() {
    let folder = std::env::temp_dir().join(format!("muster-swarm-{}", std::process::id()));
    std::fs::write(&folder, "join 5\njoin everybody\n").unwrap();
    let swarm = Path::new(env!("CARGO_BIN_EXE_muster-swarm"));
    let mut command = binaries::command(swarm);
    command.arg("run").arg(&folder).arg("--muster").arg(binaries::beside(swarm, "muster"));
    let ended = binaries::run(command, None, WITHIN).await.unwrap();
    std::fs::remove_file(folder).unwrap();
    assert_ne!(ended.code, 0);
    assert!(ended.err.contains("line 2: `join everybody`"), "{}", ended.err);
}
