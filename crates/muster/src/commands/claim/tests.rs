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
    assert_eq!(verdict("--verdict reject"), Some(Verdict::Reject));
    for bad in [
        "",
        "--new --reject",
        "--new --move",
        "--new --with-secrets",
        "--reject --with-secrets",
        "--with-secrets",
        "--verdict reject --new",
        "--verdict maybe",
        "--all --reject",
        "--reject --host web-1",
    ] {
        assert_eq!(verdict(bad), None, "{bad}");
    }
}

#[test]
fn all_takes_the_place_of_one_claim() {
    let decides = |arguments: &str| {
        let all = ["claim", "decide"].into_iter().chain(arguments.split_whitespace());
        match CommandLine::try_parse_from(all).ok()?.claim {
            Claim::Decide(decide) => Some((decide.all, decide.verdict(), decide.reason)),
            _ => None,
        }
    };
    let rejected = Some((true, Verdict::Reject, Some(ClaimReason::Clone)));
    assert_eq!(decides("--all --host web-1 --reason clone --verdict reject"), rejected);
    assert_eq!(decides("--all --host web-1 --reason clone --reject --yes"), rejected);
    assert_eq!(decides("--reject"), None);
    assert_eq!(decides("--all --host web-1 --reject --evidence ev-7"), None);
}
