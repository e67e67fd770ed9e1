use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    claim: Claim,
}

fn verdict(arguments: &str) -> Option<Verdict> {
    let all = ["claim", "decide", "CLAIM"].into_iter().chain(arguments.split_whitespace());
    match CommandLine::try_parse_from(all).ok()?.claim {
        Claim::Decide(decide) => Some(decide.verdict()),
        _ => None,
    }
}

#[test]
fn one_verdict_is_given_and_no_more() {
    assert_eq!(verdict("--new"), Some(Verdict::New));
    assert_eq!(verdict("--replace --with-secrets"), Some(Verdict::Replace));
    assert_eq!(verdict("--move"), Some(Verdict::Move));
    assert_eq!(verdict("--move --with-secrets"), Some(Verdict::Move));
    assert_eq!(verdict("--reject --yes"), Some(Verdict::Reject));
    for bad in [
        "",
        "--new --reject",
        "--new --move",
        "--new --with-secrets",
        "--reject --with-secrets",
        "--with-secrets",
    ] {
        assert_eq!(verdict(bad), None, "{bad}");
    }
}
