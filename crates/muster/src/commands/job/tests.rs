use clap::Parser;

use super::*;
use crate::output::table;

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    job: Job,
}

fn job(state: &str, rest: &str) -> View {
    let json = format!(
        r#"{{"id": "job_0192f0c1a2b37c4d8e5f60718293a4b1", "host_id": "host_0192f0c1a2b37c4d8e5f60718293a4b2",
            "state": "{state}", "work": {{"kind": "backup", "paths": ["/etc", "/srv"], "tags": ["nightly"], "secret": "repo"}},
            "attempt": 1, "late": false, "created_at": "2026-01-02T03:04:05.000Z",
            "started_at": "2026-01-02T03:04:06.000Z", {rest}}}"#
    );
    serde_json::from_str(&json).expect("a job")
}

fn running() -> View {
    job(
        "running",
        r#""progress": {"percent": 42, "bytes_done": 1024, "bytes_total": 2048}, "result": null, "failure": null, "finished_at": null"#,
    )
}

fn succeeded() -> View {
    job(
        "succeeded",
        r#""progress": {"percent": 100, "bytes_done": 2048, "bytes_total": 2048}, "failure": null,
            "result": {"snapshot_id": "d80b00b3", "bytes_processed": 2048, "bytes_added": 512, "files": 3},
            "finished_at": "2026-01-02T03:04:07.000Z""#,
    )
}

fn failed() -> View {
    job(
        "failed",
        r#""progress": null, "result": null, "failure": "wrong password\u001b[31m", "finished_at": "2026-01-02T03:04:07.000Z""#,
    )
}

#[test]
fn a_row_says_what_came_of_it() {
    let header = ["ID", "HOST", "KIND", "STATE", "MADE", "ENDED", "OUTCOME"];
    insta::assert_snapshot!(table(&header, [running(), succeeded(), failed()].iter().map(row)));
}

#[test]
fn a_job_is_laid_out_as_far_as_it_is() {
    insta::assert_snapshot!(describe(&running()));
    insta::assert_snapshot!(describe(&succeeded()));
    insta::assert_snapshot!(describe(&failed()));
}

#[test]
fn a_backup_needs_a_path_that_is_absolute() {
    for (line, is_good) in [
        ("job backup web-1 --path /etc --wait --timeout 5m", true),
        ("job backup web-1 --path /etc --path /srv", true),
        ("job backup web-1", false),
        ("job backup web-1 --path etc", false),
        ("job backup web-1 --path /etc/../root", false),
        ("job backup web-1 --path /etc --timeout 5m", false),
    ] {
        assert_eq!(CommandLine::try_parse_from(line.split(' ')).is_ok(), is_good, "{line}");
    }
}
