use super::*;

#[track_caller]
fn check(line: &str, step: Step) {
    assert_eq!(parse(line), Ok(vec![step]), "{line}");
}

#[track_caller]
fn refused(text: &str, line: usize, why: &str) {
    let error = parse(text).expect_err(text);
    assert_eq!(error.line, line, "{text}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn every_step_has_its_line() {
    let s = Duration::from_secs;
    check("join 1000", Step::Join { machines: 1000, in_flight: 64 });
    check("join 10_000 in flight 256", Step::Join { machines: 10_000, in_flight: 256 });
    check("connect 50", Step::Connect { machines: 50, over: Over::Tls });
    check("connect 50 over plain", Step::Connect { machines: 50, over: Over::Plain });
    check("connect 50 over tls", Step::Connect { machines: 50, over: Over::Tls });
    check("heartbeat for 10 s", Step::Heartbeat { lasts: s(10) });
    check("heartbeat 64 over http for 5 s", Step::HeartbeatOverHttp { machines: 64, lasts: s(5) });
    check("idle for 3 s", Step::Idle { lasts: s(3) });
    check("kill server", Step::KillServer);
    check("restart server", Step::RestartServer);
    check("all back within 90 s", Step::AllBack { within: s(90) });
    check("push all", Step::PushAll { orders: Orders::OfMany });
    check("push all one by one", Step::PushAll { orders: Orders::OfOne });
    check("revoke 200", Step::Revoke { machines: 200 });
    check("slow readers 50", Step::SlowReaders { machines: 50 });
    check("clone 1", Step::Clone { machines: 1 });
}

#[test]
fn comments_and_empty_lines_say_nothing() {
    let text = "# a storm\n\n  kill   server  # as a power cut would\n\t\n";
    assert_eq!(parse(text), Ok(vec![Step::KillServer]));
    assert_eq!(parse(""), Ok(Vec::new()));
}

#[test]
fn what_is_no_step_names_its_line() {
    refused("kill server\nkill servers", 2, "`kill servers`");
    refused("join many", 1, "whole number");
    refused("join 0", 1, "from 1 to 1000000");
    refused("join 1000001", 1, "from 1 to 1000000");
    refused("idle for 0 s", 1, "between a second and a day");
    refused("idle for 5 minutes", 1, "no step");
    refused("connect 5 over carrier", 1, "over tls");
}

#[test]
fn the_scenarios_of_this_folder_are_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let steps = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!steps.is_empty(), "{} does nothing", path.display());
        read += 1;
    }
    assert!(read >= 7, "{read} scenarios");
}
