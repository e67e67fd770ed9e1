use std::fs;
use std::path::Path;

use muster_ids::Timestamp;
use tempfile::TempDir;

use super::{fitted_hostname, heartbeat, hostname, read, release_value};

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn facts_come_from_their_files() {
    let root = TempDir::new().unwrap();
    write(root.path(), "etc/os-release", "NAME=\"x\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    write(root.path(), "proc/meminfo", "MemTotal:        2048000 kB\nMemFree: 1 kB\n");
    write(root.path(), "proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
    write(root.path(), "proc/sys/kernel/hostname", "Web-01\n");
    write(root.path(), "proc/loadavg", "1.25 0.10 0.05 1/123 4567\n");
    let facts = read(root.path(), Some("0.14.0"));
    assert_eq!(facts.os.as_str(), "Debian GNU/Linux 12 (bookworm)");
    assert_eq!(facts.memory_mb.get(), 2000);
    assert!(facts.cpu_cores.get() >= 1);
    let versions: Vec<_> = facts.versions.iter().map(|(name, version)| format!("{name}={version}")).collect();
    assert_eq!(
        versions,
        [concat!("agent=", env!("CARGO_PKG_VERSION")), "kernel=6.1.0-18-amd64", "restic=0.14.0"]
    );
    assert_eq!(hostname(root.path()).as_str(), "web-01");
    let beat = heartbeat(root.path(), Timestamp::from_millis(5));
    assert_eq!(beat.load_percent.unwrap().get(), 125);
    assert_eq!(beat.clock, Some(Timestamp::from_millis(5)));
}

#[test]
fn a_bare_tree_still_makes_facts_that_parse() {
    let root = TempDir::new().unwrap();
    let facts = read(root.path(), None);
    assert_eq!(facts.os.as_str(), "Linux");
    assert_eq!(facts.memory_mb.get(), 1);
    assert!(!facts.versions.iter().any(|(name, _)| name.as_str() == "restic"));
    assert_eq!(hostname(root.path()).as_str(), "unnamed");
    assert_eq!(heartbeat(root.path(), Timestamp::from_millis(0)).load_percent, None);
    let json = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<muster_wire::enroll::Facts>(&json).unwrap(), facts);
}

#[test]
fn this_machine_has_facts() {
    let facts = read(Path::new("/"), None);
    assert!(facts.memory_mb.get() > 1);
    assert!(heartbeat(Path::new("/"), Timestamp::from_millis(0)).disk_free_gb.is_some());
}

#[test]
fn b08_hostile_release_files_are_cleaned() {
    let root = TempDir::new().unwrap();
    let hostile = format!("PRETTY_NAME=\"\x1b]0;owned\x07 {}\u{202e}\"\n", "x".repeat(500));
    write(root.path(), "etc/os-release", &hostile);
    let os = read(root.path(), Some("1\x1b[2J")).os;
    assert!(os.as_str().starts_with("]0;owned"));
    assert!(os.as_str().chars().count() <= 128);
}

#[test]
fn release_values_are_unquoted() {
    let check =
        |raw: &str, expected: Option<&str>| assert_eq!(release_value(raw, "A").as_deref(), expected, "{raw}");
    check("A=plain", Some("plain"));
    check("A=\"two words\"", Some("two words"));
    check("A='it'", Some("it"));
    check(r#"A="a \"b\" \$c""#, Some("a \"b\" $c"));
    check("A=1\nA=2", Some("2"));
    check("AB=1", None);
    check("A=\"open", Some("\"open"));
}

#[test]
fn host_names_are_fitted_to_rfc_1123() {
    let check = |raw: &str, expected: &str| assert_eq!(fitted_hostname(raw).as_str(), expected, "{raw:?}");
    check("web-01.example.org", "web-01.example.org");
    check("Büro PC_3", "b-ro-pc-3");
    check("-lead-.trail-", "lead.trail");
    check("..a..b..", "a.b");
    check("", "unnamed");
    check("\u{202e}\u{0}", "unnamed");
    check(&"x".repeat(80), &"x".repeat(63));
    assert!(fitted_hostname(&"abcdefgh.".repeat(60)).as_str().len() <= 253);
}
