//! A restic that does what no real one can be asked to do.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use muster_wire::job::JobOutcome;

use super::super::{Failure, Restic, ResticEvent, Stopped, job_end};
use super::{
    Bench, REPOSITORY_CANARY, SERVER_CANARY, assert_no_secret, quick_limits, secret, with_user, write_program,
};

const SUMMARY: &str = r#"echo '{"message_type":"summary","snapshot_id":"ab12cd34","total_files_processed":2,"total_bytes_processed":9,"data_added":5}'"#;
const PATIENCE: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "a test of real processes waits in real time")]
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, after)| !after.starts_with('Z'))
}

#[tokio::test]
async fn c18_each_exit_code_has_its_words() {
    for (script, expected) in [
        ("exit 10", "there is no repository at /srv/r"),
        ("exit 11", "in use by another restic"),
        ("exit 12", "the password does not open"),
        ("exit 1", "restic failed with exit code 1 (it said nothing)"),
        ("echo 'Fatal: some reason' >&2; exit 1", "exit code 1 (some reason)"),
        ("exit 3", "nothing could be read"),
        ("exit 0", "it reported no snapshot"),
        ("exit 130", "killed by signal 2"),
        ("kill -9 $$", "killed by signal 9, perhaps because memory ran out"),
        ("kill -15 $$", "killed by signal 15"),
    ] {
        let mut bench = Bench::scripted(&format!("[ $command = backup ] || exit 0; {script}"));
        let source = bench.source();
        let words = bench.backup(&secret("/srv/r"), &[&source]).await.unwrap_err().in_words();
        assert!(words.contains(expected), "{script}: {words}");
    }
}

#[tokio::test]
async fn c18_exit_3_is_a_partial_backup_with_its_snapshot() {
    let error = r#"echo '{"message_type":"error","error":{"message":"denied"},"item":"/x"}' >&2"#;
    let mut bench =
        Bench::scripted(&format!("[ $command = backup ] || exit 0; {error}; {SUMMARY}; sleep 0.2; exit 3"));
    let source = bench.source();
    let end = job_end(bench.backup(&secret("/srv/r"), &[&source]).await);
    assert_eq!(end.outcome, JobOutcome::Failed);
    assert_eq!(end.result.unwrap().snapshot_id.as_str(), "ab12cd34");
    assert!(end.failure.unwrap().as_str().contains("incomplete (/x: denied)"));
    assert_eq!(bench.log(), ["/x: denied"]);
}

#[tokio::test]
async fn c18_a_lock_is_taken_for_stale_once() {
    let held = "echo 'repository is already locked by PID 7 on web' >&2; exit 1";
    let script = format!("echo $command >> $here/calls; [ $command = backup ] || exit 0; {held}");
    let mut bench = Bench::scripted(&script);
    let source = bench.source();
    let failure = bench.backup(&secret("/srv/r"), &[&source]).await.unwrap_err();
    assert!(
        matches!(&failure, Failure::RepositoryLocked { said } if said.contains("PID 7 on web")),
        "{failure:?}"
    );
    assert_eq!(std::fs::read_to_string(bench.path("calls")).unwrap(), "cat\nbackup\nunlock\nbackup\n");
    let freed = format!(
        "case $command in unlock) touch $here/free;; backup) [ -e $here/free ] || exit 11; {SUMMARY};; esac"
    );
    let mut bench = Bench::scripted(&freed);
    let source = bench.source();
    bench.backup(&secret("/srv/r"), &[&source]).await.unwrap();
}

#[tokio::test]
async fn two_hosts_may_make_one_repository_at_once() {
    let script = "case $command in
        cat) [ -e $here/made ] || exit 10;;
        init) touch $here/made; echo 'Fatal: create repository failed: config file already exists' >&2; exit 1;;
        backup) SUMMARY;;
    esac"
    .replace("SUMMARY", SUMMARY);
    let mut bench = Bench::scripted(&script);
    let source = bench.source();
    bench.backup(&secret("/srv/r"), &[&source]).await.unwrap();
}

#[tokio::test]
async fn a_repository_that_may_not_be_read_is_not_made_anew() {
    let denied = "echo 'Fatal: unable to open config file: permission denied' >&2
        echo 'Is there a repository at the following location?' >&2; exit 1";
    let mut bench = Bench::scripted(&format!("echo $command >> $here/calls; {denied}"));
    let source = bench.source();
    let failure = bench.backup(&secret("/srv/r"), &[&source]).await.unwrap_err();
    assert!(failure.in_words().contains("permission denied"), "{failure:?}");
    assert_eq!(std::fs::read_to_string(bench.path("calls")).unwrap(), "cat\n");
}

#[tokio::test]
async fn missing_restic_is_told_in_words() {
    for program in ["restic-that-is-not-there", "source/a"] {
        let mut bench = Bench::new(program);
        if program.contains('/') {
            bench.restic.program = bench.path(program).into();
        }
        let source = bench.source();
        assert_eq!(bench.restic.version().await.unwrap_err(), Failure::ResticMissing);
        let failure = bench.backup(&secret("/srv/r"), &[&source]).await.unwrap_err();
        assert_eq!(failure, Failure::ResticMissing);
        assert!(failure.in_words().contains("apt install restic"));
    }
}

#[tokio::test]
async fn c18_a_hung_restic_is_killed_with_all_it_started() {
    let status = r#"echo '{"message_type":"status","bytes_done":1,"files_done":0}'"#;
    let script = format!(
        "[ $command = backup ] || exit 0; trap '' INT; sleep 1000 & echo $! > $here/child; while :; do {status}; sleep 0.1; done"
    );
    let mut bench = Bench::scripted(&script);
    bench.restic.limits.quiet = Duration::from_millis(600);
    let source = bench.source();
    let failure = bench.backup(&secret("/srv/r"), &[&source]).await.unwrap_err();
    assert_eq!(failure, Failure::Killed(Stopped::Quiet(Duration::from_millis(600))));
    let child = std::fs::read_to_string(bench.path("child")).unwrap();
    eventually("the grandchild is gone", || !is_alive(child.trim())).await;
}

#[tokio::test]
async fn c18_a_stopped_restic_and_one_without_end_are_killed() {
    for body in ["kill -STOP $$", "while :; do echo line; sleep 0.1; done"] {
        let mut bench = Bench::scripted(&format!("[ $command = backup ] || exit 0; {body}"));
        bench.restic.limits.job = Duration::from_millis(700);
        let source = bench.source();
        let failure = bench.backup(&secret("/srv/r"), &[&source]).await.unwrap_err();
        assert_eq!(failure, Failure::Killed(Stopped::TimeLimit(Duration::from_millis(700))), "{body}");
    }
}

#[tokio::test]
async fn a_repository_that_never_answers_is_unreachable() {
    let mut bench = Bench::scripted("exec sleep 1000");
    bench.restic.limits.answer = Duration::from_millis(300);
    let source = bench.source();
    let failure = bench.backup(&secret("/srv/r"), &[&source]).await.unwrap_err();
    assert!(matches!(failure, Failure::RepositoryUnreachable { .. }), "{failure:?}");
}

#[tokio::test]
async fn cancelling_interrupts_first() {
    let body = "trap 'echo bye > $here/bye; exit 130' INT; touch $here/runs; while :; do sleep 0.05; done";
    let mut bench = Bench::scripted(&format!("[ $command = backup ] || exit 0; {body}"));
    bench.restic.limits.grace = Duration::from_secs(10);
    let (cancel, runs, source) = (bench.cancel.clone(), bench.path("runs"), bench.source());
    let cancelling = tokio::spawn(async move {
        eventually("the backup runs", || Path::new(&runs).exists()).await;
        cancel.cancel();
    });
    let failure = bench.backup(&secret("/srv/r"), &[&source]).await.unwrap_err();
    cancelling.await.unwrap();
    assert_eq!(failure, Failure::Killed(Stopped::Cancelled));
    assert!(Path::new(&bench.path("bye")).exists(), "restic had time to remove its lock");
}

#[tokio::test]
async fn dropping_a_backup_kills_it_with_all_it_started() {
    let body =
        "sleep 1000 & echo $! > $here/child.new; echo $$ > $here/pid; mv $here/child.new $here/child; wait";
    let mut bench = Bench::scripted(&format!("[ $command = backup ] || exit 0; {body}"));
    let (source, child, pid) = (bench.source(), bench.path("child"), bench.path("pid"));
    {
        let secret = secret("/srv/r");
        let paths = [source.as_str()];
        let backup = bench.backup(&secret, &paths);
        tokio::select! {
            outcome = backup => panic!("it ended: {outcome:?}"),
            () = eventually("the backup runs", || Path::new(&child).exists()) => {}
        }
    }
    for file in [child, pid] {
        let pid = std::fs::read_to_string(file).unwrap();
        eventually("it is gone", || !is_alive(pid.trim())).await;
    }
}

#[tokio::test]
async fn b22_secrets_travel_by_descriptor_alone() {
    let body = "tr '\\0' '\\n' < /proc/$$/cmdline > $here/arguments
        tr '\\0' '\\n' < /proc/$$/environ > $here/environment
        cat /dev/fd/3 /dev/fd/3 > $here/url; cat /dev/fd/4 > $here/password; ls -l /proc/$$/fd > $here/descriptors
        echo \"$(cat /dev/fd/3) $(cat /dev/fd/4)\"; SUMMARY"
        .replace("SUMMARY", SUMMARY);
    let mut bench = Bench::scripted(&body);
    let source = bench.source();
    let secret = with_user("rest:http://127.0.0.1:1/x/", "user", SERVER_CANARY);
    bench.backup(&secret, &[&source]).await.unwrap();
    let read = |name: &str| std::fs::read_to_string(bench.path(name)).unwrap();
    assert_no_secret(&read("arguments"));
    assert_no_secret(&read("environment"));
    let allowed = [
        "PATH",
        "TMPDIR",
        "LANG",
        "HOME",
        "RESTIC_CACHE_DIR",
        "RESTIC_PROGRESS_FPS",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "PWD",
    ];
    for line in read("environment").lines() {
        let name = line.split('=').next().unwrap();
        assert!(allowed.iter().any(|known| known.eq_ignore_ascii_case(name)), "{line}");
    }
    let url = format!("rest:http://user:{SERVER_CANARY}@127.0.0.1:1/x/");
    assert_eq!(read("url"), format!("{url}{url}"), "restic may read it twice");
    assert_eq!(read("password"), REPOSITORY_CANARY);
    assert!(read("arguments").contains("--repository-file=/dev/fd/3\n--password-file=/dev/fd/4\n"));
    let descriptors = read("descriptors");
    assert_eq!(descriptors.lines().filter(|line| line.contains("memfd:")).count(), 2, "{descriptors}");
    assert_no_secret(&format!("{:?}", bench.events));
    assert_eq!(bench.log(), ["rest:http://***@127.0.0.1:1/x/ ***"]);
}

#[tokio::test]
async fn some_missing_paths_make_a_backup_partial_and_all_of_them_none() {
    let mut bench =
        Bench::scripted(&format!("for argument; do echo \"$argument\" >> $here/arguments; done; {SUMMARY}"));
    let (source, absent) = (bench.source(), bench.path("absent"));
    let failure = bench.backup(&secret("/srv/r"), &[&source, &absent]).await.unwrap_err();
    assert!(
        matches!(&failure, Failure::Partial { said, .. } if said.contains("absent does not exist")),
        "{failure:?}"
    );
    assert!(!std::fs::read_to_string(bench.path("arguments")).unwrap().contains(&absent));
    assert!(bench.events.contains(&ResticEvent::Log(format!("{absent} does not exist"))));
    let failure = bench.backup(&secret("/srv/r"), &[&absent]).await.unwrap_err();
    assert_eq!(failure, Failure::PathMissing { path: absent });
}

#[tokio::test]
async fn c18_restic_dies_with_the_agent() {
    let bench = Bench::scripted(
        "[ $command = backup ] || exit 0; echo $$ > $here/pid.new; mv $here/pid.new $here/pid; exec sleep 1000",
    );
    let mut agent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "restic::tests::fake::helper_agent_with_a_backup", "--ignored"])
        .env("MUSTER_TEST_BENCH", bench.folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = bench.path("pid");
    eventually("the backup runs", || Path::new(&pid).exists()).await;
    let pid = std::fs::read_to_string(pid).unwrap();
    assert!(is_alive(pid.trim()));
    agent.kill().unwrap();
    agent.wait().unwrap();
    eventually("restic is gone", || !is_alive(pid.trim())).await;
}

#[tokio::test]
#[ignore = "a process that another test starts and kills"]
async fn helper_agent_with_a_backup() {
    let folder =
        std::path::PathBuf::from(std::env::var_os("MUSTER_TEST_BENCH").expect("run by another test"));
    let mut bench = Bench::new("restic");
    let source = bench.source();
    bench.restic =
        Restic { program: folder.join("fake-restic"), cache: folder.join("cache"), limits: quick_limits() };
    let _ = bench.backup(&secret("/srv/r"), &[&source]).await;
}

#[tokio::test]
async fn the_version_is_a_word() {
    let bench = Bench::scripted("echo 'restic 0.17.3 compiled with go1.23 on linux/amd64'");
    assert_eq!(bench.restic.version().await.unwrap(), "0.17.3");
    write_program(&bench.restic.program, "#!/bin/sh\necho something else\n");
    assert!(matches!(bench.restic.version().await.unwrap_err(), Failure::Other { exit: Some(0), .. }));
}
