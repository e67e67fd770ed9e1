use clap::{CommandFactory, Parser};

use super::{Cli, Command, options};

fn join(arguments: &[&str]) -> Option<super::JoinArgs> {
    let line = ["muster-agent", "join"].into_iter().chain(arguments.iter().copied());
    match Cli::try_parse_from(line).ok()?.command {
        Command::Join(arguments) => Some(arguments),
        _ => None,
    }
}

#[test]
fn the_command_line_is_consistent_and_says_how_it_ends() {
    Cli::command().debug_assert();
    let help = Cli::command().render_help().to_string();
    for word in ["Examples:", "Exit codes:", "MUSTER_AGENT_STATE", "--log"] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn labels_become_what_the_owner_wrote() {
    let arguments = join(&["--stdin", "--company", "Example Ltd", "--label-tag", "a", "--label-tag", "b=1"]);
    let options = options(arguments.unwrap());
    assert_eq!(options.labels.company.unwrap().as_str(), "Example Ltd");
    assert_eq!(options.labels.tags.iter().count(), 2);
    for bad in [&["--company", "a\u{1b}[0m"][..], &["--hostname", "a_b"], &["--label-tag", "-x"]] {
        assert!(join(bad).is_none(), "{bad:?}");
    }
    assert!(join(&["--stdin", "--file", "x"]).is_none());
    assert!(join(&["muster1.x", "--stdin"]).is_none());
}

#[test]
fn b22_a_join_string_is_not_printed() {
    let arguments = join(&["muster1.canary"]).unwrap();
    assert!(!format!("{arguments:?}").contains("canary"));
    let wrong = super::join_string(&arguments).unwrap_err().to_string();
    assert!(!wrong.contains("canary"), "{wrong}");
}
