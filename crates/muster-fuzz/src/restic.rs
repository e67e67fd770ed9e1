//! What restic, or what calls itself restic, prints.

use std::sync::LazyLock;

use muster_agent::restic::{MAX_LOG_LINE_BYTES, Overheard, Repository, ResticEvent, overhear};
use muster_wire::secret::RepoSecret;
use muster_wire::text::Line;
use tokio::runtime::Runtime;

const PASSWORD: &str = "canary repository password";
const HTTP_PASSWORD: &str = "canary:server/password@%";
/// The most lines of a run that are kept, and the one that says so.
const MAX_LOG_LINES: usize = 2001;
const MAX_SAID: usize = 64;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime without threads")
});

static REPOSITORY: LazyLock<Repository> = LazyLock::new(|| {
    Repository::parse(&RepoSecret {
        url: Line::parse("rest:https://backup.example/host1/").expect("a line"),
        user: Some(Line::parse("host1").expect("a line")),
        http_password: Some(Line::parse(HTTP_PASSWORD).expect("a line")),
        password: Line::parse(PASSWORD).expect("a line"),
    })
    .expect("a repository")
});

/// Any output is read to its end; what is told of it is bounded, visible and holds no password.
pub fn restic_output(data: &[u8]) {
    let Overheard { events, said, summary, first_error } = RUNTIME.block_on(overhear(data, &REPOSITORY));
    let mut lines = 0;
    for event in &events {
        match event {
            ResticEvent::Log(text) => {
                lines += 1;
                presentable(text);
            }
            ResticEvent::Progress(progress) => assert!(progress.percent.get() <= 100),
            ResticEvent::Summary(result) => presentable(&result.snapshot_id.to_string()),
        }
    }
    assert!(lines <= MAX_LOG_LINES, "{lines} lines of log");
    assert!(said.len() <= MAX_SAID, "{} lines remembered", said.len());
    said.iter().chain(&first_error).for_each(|text| presentable(text));
    let last = events.iter().rev().find_map(|event| match event {
        ResticEvent::Summary(result) => Some(result),
        _ => None,
    });
    assert!(summary.is_none() || summary.as_ref() == last, "the summary is not the one that was told");
}

fn presentable(text: &str) {
    assert!(text.len() <= MAX_LOG_LINE_BYTES, "a line of {} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?} commands a terminal");
    for password in [PASSWORD, HTTP_PASSWORD] {
        assert!(!text.contains(password), "{text:?} holds a password");
    }
}
