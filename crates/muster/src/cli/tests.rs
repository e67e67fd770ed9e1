use clap::CommandFactory;

use super::*;
use crate::failure::Exit;

#[test]
fn the_tree_holds() {
    Cli::command().debug_assert();
}

/// Returns every command of the tree with its whole name.
fn all_commands() -> Vec<(String, clap::Command)> {
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut found = vec![("muster".to_owned(), root)];
    let mut next = 0;
    while next < found.len() {
        let (name, command) = found[next].clone();
        let named = command.get_subcommands().filter(|sub| sub.get_name() != "help");
        found.extend(named.map(|sub| (format!("{name} {}", sub.get_name()), sub.clone().term_width(100))));
        next += 1;
    }
    found
}

#[test]
fn help_of_every_command() {
    for (name, _) in all_commands() {
        insta::assert_snapshot!(name.replace(' ', "_"), help(&name));
    }
}

/// Returns what `--help` writes for a command.
fn help(name: &str) -> String {
    let arguments = name.split(' ').chain(["--help"]);
    let error = Cli::command().term_width(100).try_get_matches_from(arguments).expect_err("help");
    assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp);
    error.to_string()
}

#[test]
fn every_command_has_an_example_that_parses() {
    for (name, _) in all_commands() {
        let help = help(&name);
        let examples: Vec<_> =
            help.lines().map(str::trim).filter(|line| line.starts_with("muster ")).collect();
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            let line = example.split(['|', '>', '<']).next().expect("a command");
            let line = line.split("   ").next().expect("a command");
            let error = Cli::try_parse_from(line.split_whitespace()).err();
            assert!(error.is_none(), "{name}: {example}: {error:?}");
        }
    }
}

#[test]
fn no_option_takes_a_credential() {
    for (name, command) in all_commands() {
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            let is_place = id.ends_with("_file") || id.starts_with("show_");
            assert!(is_place || !(id.contains("token") || id.contains("password")), "{name} --{id}");
        }
    }
}

#[test]
fn exit_codes_are_documented() {
    let help = help("muster");
    for exit in [Exit::Failed, Exit::Usage, Exit::Unreachable, Exit::Waiting] {
        assert!(help.contains(&format!("\n  {}  ", exit as u8)), "{exit:?}");
    }
}

#[test]
fn a_server_is_an_address_and_nothing_more() {
    for good in ["http://127.0.0.1:8600", "https://muster.example", "https://[::1]:8643/"] {
        assert!(server_url(good).is_ok(), "{good}");
    }
    for bad in ["muster.example", "ftp://x", "https://x/?a=b", "https://x/path", "https://x/#y", ""] {
        assert!(server_url(bad).is_err(), "{bad}");
    }
}
