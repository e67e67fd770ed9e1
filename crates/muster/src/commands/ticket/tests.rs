use clap::Parser;

use super::*;
use crate::output::table;

const MINTED: &str = r#"{
    "ticket": {
        "id": "0aB1cD2eF3gH", "kind": "registration_token", "status": "open",
        "site_id": "site_0192f0c1a2b37c4d8e5f60718293a4b1", "host_id": "host_0192f0c1a2b37c4d8e5f60718293a4b2",
        "host_name": null, "rejoin": true, "tags": ["env=prod", "web"], "secrets": ["repo"], "require_key": true,
        "uses": 0, "max_uses": 1, "created_at": "2026-01-02T03:04:05.000Z", "expires_at": "2026-01-02T04:04:05.000Z",
        "last_used_at": null, "last_host_id": null
    },
    "token": "msr_canary", "join_string": "muster1.join"
}"#;

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    ticket: Ticket,
}

fn minted() -> MintedTicket {
    serde_json::from_str(MINTED).expect("a ticket")
}

#[test]
fn the_join_string_has_a_line_of_its_own() {
    insta::assert_snapshot!(describe_minted(&minted()));
}

#[test]
fn a_row_says_how_long_a_ticket_lives() {
    let now = "2026-01-02T03:54:05.000Z".parse().expect("a moment");
    let endless = View {
        expires_at: None,
        kind: TicketKind::SiteKey,
        rejoin: false,
        max_uses: None,
        ..minted().ticket
    };
    let header = ["ID", "KIND", "STATUS", "HOST NAME", "USES", "EXPIRES", "LAST USED", "TAGS"];
    insta::assert_snapshot!(table(&header, [row(&minted().ticket, now), row(&endless, now)]));
}

#[test]
fn a_one_time_ticket_lives_five_minutes_to_thirty_days() {
    for (text, is_good) in [("5m", true), ("30d", true), ("299s", false), ("31d", false)] {
        assert_eq!(one_time_life(text.parse().expect("a time")).is_ok(), is_good, "{text}");
    }
}

#[test]
fn an_enrolment_token_carries_what_was_said() {
    let line = "ticket mint-token --name web-1 --tag web --tag env=prod --secret repo=repo.json --secret db=- --require-key";
    let parsed = CommandLine::try_parse_from(line.split(' ')).expect("it parses").ticket;
    let Ticket::MintToken(mint) = parsed else { panic!("another command: {parsed:?}") };
    assert_eq!((mint.tags.len(), mint.secrets.len(), mint.require_key), (2, 2, true));
    for bad in ["--tag two,words", "--name \u{1b}x", "--secret repo", "--expires-in 90"] {
        let arguments = ["ticket", "mint-token"].into_iter().chain(bad.split(' '));
        assert!(CommandLine::try_parse_from(arguments).is_err(), "{bad}");
    }
}
