//! The agent's command line.

mod look;

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use muster_wire::JoinString;
use muster_wire::bounds::Few;
use muster_wire::enroll::Labels;
use muster_wire::text::{Hostname, Line, Tag};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::Level;
use zeroize::Zeroizing;

use self::look::Look;
use crate::error::{AgentError, Exit};
use crate::join::{Joined, Options};
use crate::leave::Left;
use crate::log::{self, Format};
use crate::machine::Machine;
use crate::{join, leave, policy, run, status, visible};

const MAX_JOIN_STRING_BYTES: u64 = 16 * 1024;
const EXAMPLES: &str = "\
Examples:
  muster-agent join --stdin < join.txt     join with the string the operator gave you
  muster-agent join --file /run/join.txt   the same, from a file
  muster-agent run                         keep the channel and do the work
  muster-agent status -o json              who this machine is, for programs
  muster-agent doctor                      what stands between this machine and its server
  muster-agent leave                       retire this host and forget its key

Exit codes:
  0  done
  1  failed or refused
  2  wrong command line
  3  the server cannot be reached, or cannot answer now: nothing is lost
  4  waiting for a person to decide
  5  the server revoked this machine's key";
const JOIN_EXAMPLES: &str = "\
Examples:
  muster-agent join --stdin < join.txt
  muster-agent join --file join.txt --company 'Example Ltd' --label-tag rack=7
  muster-agent join muster1.eyJ1Ij…        short, but other users can see it meanwhile

Repeat the same command after any failure: it goes on with the same key.
On a machine that is a host already it changes the server's addresses and pins; key and host stay.";

/// The Muster agent: joins this machine to a Muster server, keeps one channel, does the work it is given.
#[derive(Debug, Parser)]
#[command(name = "muster-agent", version, after_help = EXAMPLES)]
pub struct Cli {
    /// Where key, identity and secrets are kept.
    #[arg(
        long,
        global = true,
        env = "MUSTER_AGENT_STATE",
        default_value = "/var/lib/muster-agent",
        value_name = "DIR"
    )]
    state_dir: PathBuf,
    /// This machine's own policy: which kinds of jobs the server may run here.
    #[arg(long, global = true, env = "MUSTER_AGENT_POLICY", default_value = policy::DEFAULT_PATH, value_name = "FILE")]
    policy: PathBuf,
    /// The restic to use.
    #[arg(
        long,
        global = true,
        env = "MUSTER_AGENT_RESTIC",
        default_value = "restic",
        value_name = "PROGRAM"
    )]
    restic: PathBuf,
    /// Where this installation's id is kept: outside of the state folder, and not copied with it [default:
    /// `<state folder>-install/id`].
    #[arg(long, global = true, env = "MUSTER_AGENT_INSTALL_ID", value_name = "FILE")]
    install_id: Option<PathBuf>,
    /// How the log on standard error is written.
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    log: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Join a server with a join string.
    #[command(after_help = JOIN_EXAMPLES)]
    Join(JoinArgs),
    /// Keep the channel and do the work; ends on SIGTERM, SIGINT or a signed revocation.
    Run,
    /// Show who this machine is.
    Status {
        /// How it is shown.
        #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    #[command(flatten)]
    Look(Look),
    /// Retire this machine's host and remove its key and secrets.
    Leave {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Remove key and secrets even if the server cannot be told.
        #[arg(long)]
        force: bool,
    },
    /// Remove key and secrets without telling the server, for a copied or damaged state folder.
    Reset {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Where a join string is read from.
#[derive(Debug, Clone, Args)]
struct Source {
    /// Read the join string from a file.
    #[arg(long, value_name = "FILE", conflicts_with = "stdin")]
    file: Option<PathBuf>,
    /// Read the join string from standard input.
    #[arg(long)]
    stdin: bool,
}

impl Source {
    /// Reads it; `None`: no source was named.
    fn read(&self) -> Result<Option<Zeroizing<String>>, AgentError> {
        match &self.file {
            Some(file) => read_text(&file.display().to_string(), File::open(file)).map(Some),
            None if self.stdin => read_text("standard input", Ok(io::stdin().lock())).map(Some),
            None => Ok(None),
        }
    }
}

#[derive(Args)]
struct JoinArgs {
    /// The join string, or `-` to read it from standard input.
    #[arg(value_name = "JOIN_STRING", conflicts_with_all = ["file", "stdin"])]
    join_string: Option<String>,
    #[command(flatten)]
    source: Source,
    /// What identifies this hardware, instead of what the agent finds out itself.
    #[arg(long, value_name = "TEXT")]
    machine_uid: Option<String>,
    /// The name to report, instead of the machine's own.
    #[arg(long, value_name = "NAME")]
    hostname: Option<Hostname>,
    /// The company the machine belongs to.
    #[arg(long, value_name = "TEXT")]
    company: Option<Line<128>>,
    /// The department it stands in.
    #[arg(long, value_name = "TEXT")]
    department: Option<Line<128>>,
    /// What kind of device it is.
    #[arg(long, value_name = "TEXT")]
    device_type: Option<Line<64>>,
    /// A tag the machine claims for itself; it is shown, and selects nothing. May be repeated.
    #[arg(long, value_name = "TAG")]
    label_tag: Vec<Tag>,
}

/// The join string is a credential and stays out of every message.
impl std::fmt::Debug for JoinArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinArgs").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Carries out a command line; whatever went wrong is one line on standard error.
pub async fn main(cli: Cli) -> Exit {
    log::begin(cli.log, Level::INFO);
    let (format, exit) = (cli.log, carry_out(cli).await);
    let cause = match exit {
        Ok(exit) => return exit,
        Err(cause) => cause,
    };
    match (format, &cause) {
        (Format::Json, _) => tracing::error!(exit = cause.exit() as u8, "{cause}"),
        // Writing to a closed terminal fails; there is nobody left to tell.
        (Format::Human, AgentError::Waiting { .. }) => drop(writeln!(io::stderr(), "{cause}")),
        (Format::Human, _) => drop(writeln!(io::stderr(), "error: {cause}")),
    }
    cause.exit()
}

async fn carry_out(cli: Cli) -> Result<Exit, AgentError> {
    let Cli { state_dir: folder, policy, restic, install_id, .. } = cli;
    let here = || {
        let machine = Machine::here(policy.clone(), restic.clone())?;
        Ok::<_, AgentError>(Machine { install_id: install_id.clone(), ..machine })
    };
    match cli.command {
        Command::Join(arguments) => {
            let join_string = join_string(&arguments)?;
            let joined = join::join(&here()?, &folder, &join_string, options(arguments)).await?;
            say(&joined_in_words(&joined))?;
        }
        Command::Run => run::run(&here()?, &folder, &stop_signal()?).await?,
        Command::Status { output } => {
            let status = status::read(&folder, &policy)?;
            match output {
                Output::Text => say(&status.to_string())?,
                Output::Json => {
                    say(&serde_json::to_string_pretty(&status).expect("a status has string keys"))?;
                }
            }
        }
        Command::Look(look) => return look.carry_out(&folder, policy, restic).await,
        Command::Leave { yes, force } => {
            confirm(yes, "retire this host and remove its key and secrets")?;
            let left = leave::leave(&here()?, &folder, force).await?;
            say(&left_in_words(left))?;
        }
        Command::Reset { yes } => {
            confirm(yes, "remove this machine's key and secrets without telling the server")?;
            leave::reset(&folder)?;
            say(
                "key, secrets and identity were removed; what the server knew of this machine, it still knows",
            )?;
        }
    }
    Ok(Exit::Done)
}

fn options(arguments: JoinArgs) -> Options {
    let tags: Few<Tag, 32> = arguments.label_tag.into_iter().collect();
    let JoinArgs { company, department, device_type, .. } = arguments;
    Options {
        machine_uid: arguments.machine_uid,
        hostname: arguments.hostname,
        labels: Labels { company, department, device_type, tags },
    }
}

fn join_string(arguments: &JoinArgs) -> Result<JoinString, AgentError> {
    let text = match &arguments.join_string {
        Some(text) if text != "-" => Some(Zeroizing::new(text.clone())),
        Some(_) => Some(read_text("standard input", Ok(io::stdin().lock()))?),
        None => arguments.source.read()?,
    };
    let Some(text) = text else {
        let said = "a join string is missing: give it with --stdin, with --file or as the argument";
        return Err(AgentError::Usage(said.to_owned()));
    };
    parse(&text)
}

fn parse(text: &str) -> Result<JoinString, AgentError> {
    text.parse::<JoinString>().map_err(|cause| AgentError::Usage(cause.to_string()))
}

fn read_text(source: &str, opened: io::Result<impl Read>) -> Result<Zeroizing<String>, AgentError> {
    let mut text = Zeroizing::new(String::new());
    let read = opened.and_then(|stream| stream.take(MAX_JOIN_STRING_BYTES).read_to_string(&mut text));
    read.map_err(|cause| AgentError::System {
        what: format!("the join string could not be read from {source}"),
        cause,
    })?;
    Ok(text)
}

fn joined_in_words(joined: &Joined) -> String {
    match joined {
        Joined::Admitted { host_id, disposition, state, replayed, by_earlier_ticket } => {
            let (disposition, state) = (visible::word(disposition), visible::word(state));
            let again = if *replayed { ", the answer to an earlier enrolment" } else { "" };
            let unspent =
                if *by_earlier_ticket { "\nthe ticket of this join string was not needed" } else { "" };
            format!("joined as {host_id} ({disposition}, {state}{again}){unspent}")
        }
        Joined::Moved { host_id } => format!(
            "this machine is {host_id} already: the server's addresses and pins were updated, key and host are the \
             same, the ticket was not spent. To join as another host, run `muster-agent leave` first"
        ),
    }
}

fn left_in_words(left: Left) -> String {
    match left {
        Left::Retired(host_id) => {
            format!("{host_id} is retired; its key and secrets were removed from this machine")
        }
        Left::AlreadyRevoked(host_id) => {
            format!(
                "the key of {host_id} was void already; it and the secrets were removed from this machine"
            )
        }
        Left::Untold(host_id) => format!(
            "key and secrets of {host_id} were removed, but the server was not told: ask the operator to run \
             `muster host retire {host_id}`"
        ),
        Left::Unreadable => "the identity could not be read; it, key and secrets were removed. If this machine was \
                             a host, the server was not told: ask the operator to run `muster host retire` for it"
            .to_owned(),
        Left::NoHost => "this machine was no host; whatever a join left behind was removed".to_owned(),
    }
}

fn say(text: &str) -> Result<(), AgentError> {
    writeln!(io::stdout(), "{text}")
        .map_err(|cause| AgentError::System { what: "the result could not be written".to_owned(), cause })
}

fn confirm(yes: bool, what: &str) -> Result<(), AgentError> {
    if yes {
        return Ok(());
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(AgentError::NotConfirmed);
    }
    let asked = write!(io::stderr(), "This will {what}. Type yes to go on: ");
    let mut answer = String::new();
    let answered = asked.and_then(|()| stdin.lock().take(16).read_line(&mut answer));
    match answered {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        _ => Err(AgentError::NotConfirmed),
    }
}

/// Returns a token that is cancelled by the first SIGTERM or SIGINT.
fn stop_signal() -> Result<CancellationToken, AgentError> {
    let listen = |kind| {
        let what = "signals cannot be received".to_owned();
        signal(kind).map_err(|cause| AgentError::System { what, cause })
    };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(stop)
}

#[cfg(test)]
mod tests;
