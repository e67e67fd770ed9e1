//! The command line: one tree, its global options, and where each command goes.
//!
//! To add a command: a file in `commands` with its arguments, examples and `run`, and a line in [`Command`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use url::Url;

use crate::commands::{
    account, admin, audit, backup, claim, completions, events, host, instruction_key, invitation, job, key,
    login, notify, oidc, overview, people, restore, secret, serve, settings, setup, site, support, team,
    ticket, tls, token, view, webhook, whoami,
};
use crate::demo::Demo;
use crate::failure::Failure;
use crate::input::Source;
use crate::operator::Operator;
use crate::output::Format;

const AFTER_HELP: &str = "\
Begin here:
  muster serve                                        # run a server on this machine
  muster setup --code-file muster-data/setup-code     # make the first admin
  muster ticket mint-token --name web-1               # admit one machine
  muster host list                                    # see it arrive

Names or ids are taken wherever a team, person, site, host or endpoint is named.
Tokens, codes and secrets come from files or standard input, never from options.

Exit codes:
  0  done
  1  refused, or tried and failed
  2  the command line, or a file it names, does not hold
  3  the server cannot be reached
  4  waiting: a claim nobody decided yet, or a job that has not ended
  5  the audit trail was changed behind the server's back";

/// Muster turns a machine nobody knows yet into a host you can trust, reach and revoke
#[derive(Debug, Parser)]
#[command(name = "muster", version, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command that talks to a server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Address of the server [default: the context's, else http://127.0.0.1:8600]
    #[arg(long, global = true, env = "MUSTER_URL", hide_env_values = true, value_name = "URL", value_parser = server_url)]
    pub url: Option<Url>,
    /// Team to act in, by name or id [default: the context's, else your own]
    #[arg(long, global = true, value_name = "NAME_OR_ID")]
    pub team: Option<String>,
    /// How results are written: tables for people, or the documents of the API byte for byte
    #[arg(
        short = 'o',
        long = "output",
        global = true,
        value_enum,
        default_value_t,
        value_name = "table|json",
        hide_possible_values = true
    )]
    pub format: Format,
    /// Write ids and what is shown once, nothing else
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// File with the server's address and your token [default: ~/.config/muster/context.toml]
    #[arg(long, global = true, env = "MUSTER_CONTEXT", hide_env_values = true, value_name = "FILE")]
    pub context: Option<PathBuf>,
    /// File with an operator token, used instead of the context's; - reads standard input
    #[arg(long, global = true, env = "MUSTER_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    pub token_file: Option<Source>,
    /// SHA-256 of the server's key for https without a public certificate, as `muster serve` prints it
    #[arg(
        long,
        global = true,
        env = "MUSTER_PIN",
        hide_env_values = true,
        value_name = "PIN",
        value_delimiter = ','
    )]
    pub pin: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Setup(setup::Setup),
    Login(login::Login),
    Whoami(whoami::Whoami),
    Overview(overview::Overview),
    #[command(subcommand)]
    Account(account::Account),
    #[command(subcommand)]
    Admin(admin::Admin),
    #[command(subcommand)]
    Team(team::Team),
    #[command(subcommand)]
    People(people::People),
    #[command(subcommand)]
    Invitation(invitation::Invitation),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Oidc(oidc::Oidc),
    Events(Box<events::Events>),
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    #[command(subcommand)]
    Notify(notify::Notify),
    #[command(subcommand)]
    Site(site::Site),
    #[command(subcommand)]
    Ticket(ticket::Ticket),
    #[command(subcommand)]
    Host(host::Host),
    #[command(subcommand)]
    Claim(claim::Claim),
    #[command(subcommand)]
    View(view::View),
    #[command(subcommand)]
    Secret(secret::Secret),
    #[command(subcommand)]
    Job(job::Job),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Settings(settings::Settings),
    #[command(subcommand)]
    InstructionKey(instruction_key::InstructionKey),
    #[command(subcommand)]
    Tls(tls::Tls),
    Backup(backup::Backup),
    Restore(restore::Restore),
    #[command(subcommand)]
    Key(key::Key),
    Support(support::Support),
    Demo(Demo),
    Completions(completions::Completions),
}

impl Cli {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let global = &self.global;
        match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Demo(demo) => demo.play(),
            Command::Completions(completions) => completions.run(),
            Command::Setup(setup) => wait(setup.run(global)),
            Command::Login(login) => wait(login.run(global)),
            Command::Account(account) => call(global, async |operator| account.run(operator).await),
            Command::Admin(admin) => wait(admin.run(global)),
            Command::Whoami(whoami) => call(global, async |operator| whoami.run(operator).await),
            Command::Overview(overview) => call(global, async |operator| overview.run(operator).await),
            Command::Team(team) => call(global, async |operator| team.run(operator).await),
            Command::People(people) => call(global, async |operator| people.run(operator).await),
            Command::Invitation(invitation) => call(global, async |operator| invitation.run(operator).await),
            Command::Token(token) => call(global, async |operator| token.run(operator).await),
            Command::Events(events) => call(global, async |operator| events.run(operator).await),
            Command::Webhook(webhook) => call(global, async |operator| webhook.run(operator).await),
            Command::Notify(notify) => call(global, async |operator| notify.run(operator).await),
            Command::Oidc(oidc) => call(global, async |operator| oidc.run(operator).await),
            Command::Site(site) => call(global, async |operator| site.run(operator).await),
            Command::Ticket(ticket) => call(global, async |operator| ticket.run(operator).await),
            Command::Host(host) => call(global, async |operator| host.run(operator).await),
            Command::Claim(claim) => call(global, async |operator| claim.run(operator).await),
            Command::View(view) => call(global, async |operator| view.run(operator).await),
            Command::Secret(secret) => call(global, async |operator| secret.run(operator).await),
            Command::Job(job) => call(global, async |operator| job.run(operator).await),
            Command::Audit(audit) => wait(audit.run(global)),
            Command::Backup(backup) => wait(backup.run(global)),
            Command::Restore(restore) => wait(restore.run(global)),
            Command::Key(key) => wait(key.run(global)),
            Command::Support(support) => wait(support.run(global)),
            Command::Settings(settings) => call(global, async |operator| settings.run(operator).await),
            Command::InstructionKey(key) => call(global, async |operator| key.run(operator).await),
            Command::Tls(tls) => call(global, async |operator| tls.run(operator).await),
        }
    }
}

fn call(global: &Global, command: impl AsyncFnOnce(&Operator) -> Result<(), Failure>) -> Result<(), Failure> {
    wait(async { command(&Operator::connect(global).await?).await })
}

fn wait(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::plain(format!("cannot start: {error}")))?;
    runtime.block_on(command)
}

fn server_url(text: &str) -> Result<Url, String> {
    const FORM: &str = "expected an address like https://muster.example:8643";
    let url = Url::parse(text).map_err(|_| FORM)?;
    let is_bare = url.query().is_none() && url.fragment().is_none() && url.path() == "/";
    match url.scheme() {
        "http" | "https" if url.has_host() && is_bare => Ok(url),
        _ => Err(FORM.to_owned()),
    }
}

#[cfg(test)]
mod tests;
