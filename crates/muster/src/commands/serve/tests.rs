use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    serve: Serve,
}

fn options(arguments: &[&str]) -> Result<Options, Failure> {
    let all = ["serve"].iter().chain(arguments);
    Line::try_parse_from(all).expect("it parses").serve.options()
}

#[test]
fn the_defaults_are_those_of_the_server() {
    let (ours, theirs) = (options(&[]).expect("options"), Options::new("muster-data".into()));
    assert_eq!(
        (ours.operators, ours.machines, ours.data_dir),
        (theirs.operators, theirs.machines, theirs.data_dir)
    );
    assert_eq!(ours.limits.max_connections, theirs.limits.max_connections);
    assert!(ours.database.is_none() && ours.public_urls.is_empty());
}

#[test]
fn a_database_that_does_not_hold_is_not_quoted() {
    let failure =
        options(&["--database", "mysql://muster:canary@db/muster"]).expect_err("refused").to_string();
    assert!(failure.contains("postgres://") && !failure.contains("canary"), "{failure}");
}

#[test]
fn proxies_are_named_and_never_everybody() {
    let trusted = |arguments: &[&str]| options(arguments).map(|options| options.trusted_proxies);
    assert_eq!(trusted(&[]).expect("options"), "".parse().expect("nobody"));
    let both = "10.2.0.7,fd00::/8".parse().expect("proxies");
    let said = trusted(&["--trusted-proxy", "10.2.0.7", "--trusted-proxy", "fd00::/8"]);
    assert_eq!(said.expect("options"), both);
    for bad in ["0.0.0.0/0", "::/0", "*", "10.2.0.7/8", "proxy.example"] {
        assert!(trusted(&["--trusted-proxy", bad]).is_err(), "{bad}");
    }
}

#[cfg(feature = "acme")]
#[test]
fn a_certificate_is_ordered_for_names_and_never_kept_in_files_too() {
    assert!(options(&[]).expect("options").tls.acme.is_none());
    let some = ["--acme-domain", "Muster.example", "--acme-domain", "b.example,muster.example"];
    let acme = options(&some).expect("options").tls.acme.expect("ordered");
    assert_eq!(acme.names, ["muster.example", "b.example"]);
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");

    let parse = |arguments: &[&str]| {
        let all = ["serve", "--acme-domain", "muster.example"].iter().chain(arguments);
        Line::try_parse_from(all)
            .map(|line| line.serve.options().expect("options").tls.acme.expect("ordered"))
    };
    let more =
        ["--acme-contact", "ops@example.org", "--acme-directory", "https://ca.internal/acme/directory"];
    let acme = parse(&more).expect("parsed");
    assert_eq!(acme.contact.as_deref(), Some("ops@example.org"));
    assert_eq!(acme.directory, "https://ca.internal/acme/directory");
    let refused: [&[&str]; 8] = [
        &["--tls-cert", "a", "--tls-key", "b"],
        &["--tls-announce", "a"],
        &["--accept-new-tls-key"],
        &["--acme-domain", "*.example"],
        &["--acme-domain", "10.0.0.1"],
        &["--acme-contact", "ops@example.org?cc=other@example.org"],
        &["--acme-directory", "http://ca.internal/directory"],
        &["--acme-directory", "https://user:word@ca.internal/directory"],
    ];
    for arguments in refused {
        assert!(parse(arguments).is_err(), "{arguments:?}");
    }
    for alone in [["--acme-contact", "a@b.example"], ["--acme-ca-file", "ca.pem"]] {
        assert!(Line::try_parse_from(["serve"].iter().chain(&alone)).is_err(), "{alone:?}");
    }
}
