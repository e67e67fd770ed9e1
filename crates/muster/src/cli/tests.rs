use std::collections::BTreeSet;

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
    help_within(name, 100)
}

/// Returns what `--help` would write on a terminal of any width.
fn whole_help(name: &str) -> String {
    help_within(name, 0)
}

fn help_within(name: &str, width: usize) -> String {
    let arguments = name.split(' ').chain(["--help"]);
    let error = Cli::command().term_width(width).try_get_matches_from(arguments).expect_err("help");
    assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp);
    error.to_string()
}

/// Returns the examples of a help text: commands as a shell takes them, without comments and pipes.
fn examples(help: &str) -> Vec<Vec<String>> {
    let help = help.replace("\\\n", " ");
    let lines = help.lines().map(str::trim).filter(|line| line.starts_with("muster "));
    lines.map(shell_words).collect()
}

/// Splits a line as a shell does, up to a comment or the end of the command; single quotes are enough.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut is_quoted) = (String::new(), false);
    for c in line.chars().chain([' ']) {
        match c {
            '\'' => is_quoted = !is_quoted,
            '|' | '>' | '<' | '#' if !is_quoted && word.is_empty() => return words,
            ' ' if !is_quoted && word.is_empty() => {}
            ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words
}

#[test]
fn every_command_has_an_example_that_parses() {
    for (name, _) in all_commands() {
        let help = help(&name);
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{name} has no example");
        let whole = whole_help(&name);
        let examples_of = |line: &&str| line.trim().starts_with("muster ") || line.ends_with('\\');
        let broken = whole.lines().filter(examples_of).find(|line| !help.contains(*line));
        assert_eq!(broken, None, "{name}: an example that does not fit a terminal is broken in two");
        for example in examples {
            let error = Cli::try_parse_from(&example).err();
            assert!(error.is_none(), "{name}: {example:?}: {error:?}");
        }
    }
}

/// A command that defines a global option anew gets its value, and its type, from whoever was first: a panic.
#[test]
fn no_command_defines_a_global_option_anew() {
    let spelled = |argument: &clap::Arg| {
        let long = argument.get_long_and_visible_aliases().unwrap_or_default();
        let long = long.into_iter().map(|long| format!("--{long}"));
        let short = argument.get_short_and_visible_aliases().unwrap_or_default();
        let short = short.into_iter().map(|short| format!("-{short}"));
        let id = argument.get_id().to_string();
        long.chain(short).chain([id]).collect::<Vec<_>>()
    };
    // Not built: nothing is handed down yet.
    let root = Cli::command();
    let global: BTreeSet<String> = root.get_arguments().flat_map(spelled).collect();
    assert!(global.contains("--url") && global.contains("token_file"));
    let mut left: Vec<(String, &clap::Command)> =
        root.get_subcommands().map(|sub| (sub.get_name().to_owned(), sub)).collect();
    while let Some((name, command)) = left.pop() {
        for spelling in command.get_arguments().flat_map(spelled) {
            assert!(!global.contains(&spelling), "{name} defines {spelling} anew");
        }
        left.extend(command.get_subcommands().map(|sub| (format!("{name} {}", sub.get_name()), sub)));
    }
}

#[test]
fn no_option_takes_a_credential() {
    for (name, command) in all_commands() {
        let options = command.get_arguments();
        for argument in options.filter(|argument| argument.get_action().takes_values()) {
            let id = argument.get_id().as_str();
            let is_place = id.ends_with("_file");
            assert!(is_place || !(id.contains("token") || id.contains("password")), "{name} --{id}");
        }
    }
}

#[test]
fn exit_codes_are_documented() {
    let help = help("muster");
    for exit in [Exit::Failed, Exit::Usage, Exit::Unreachable, Exit::Waiting, Exit::Broken] {
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
