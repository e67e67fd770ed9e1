use clap::Subcommand;
use muster_wire::page::Page;
use muster_wire::sign_in::{
    Account as View, BeginSecondFactor, ConfirmSecondFactor, Done, Password, RemoveSecondFactor, SetLogin,
    SetPassword, WebSession,
};
use muster_wire::text::Line;
use secrecy::{ExposeSecret, SecretString};

use crate::failure::Failure;
use crate::input::{ask_line, ask_secret, wire_text};
use crate::operator::Operator;
use crate::output::{record, visible};
use crate::words::{optional_moment, relative, word};

const EXAMPLES: &str = "\
Passwords and codes are asked for on the terminal, never taken from options.

Examples:
  muster account show
  muster account set-login ada
  muster account set-password
  muster account second-factor add
  muster account session list";

/// What you sign in with, and where you are signed in
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Account {
    /// Show login, password and second factor, never their secrets
    #[command(after_help = "Examples:\n  muster account show")]
    Show,
    /// Take the login you sign in with; it stays
    #[command(after_help = "Examples:\n  muster account set-login ada")]
    SetLogin {
        /// Letters, digits and ._@+-; case does not count
        #[arg(value_parser = wire_text::<Line<64>>)]
        login: Line<64>,
    },
    /// Set your password; every other session of yours ends
    #[command(after_help = "Examples:\n  muster account set-password")]
    SetPassword,
    /// Set up or remove the second factor
    #[command(subcommand)]
    SecondFactor(SecondFactor),
    /// List or end the sessions of your browsers
    #[command(subcommand)]
    Session(Session),
}

/// Set up or remove the second factor
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  muster account second-factor add\n  muster account second-factor remove"
)]
pub(crate) enum SecondFactor {
    /// Begin a second factor: shows its secret, asks for a code, shows the recovery codes
    #[command(after_help = "Examples:\n  muster account second-factor add")]
    Add,
    /// Remove it, with a code of it or a recovery code
    #[command(after_help = "Examples:\n  muster account second-factor remove")]
    Remove,
}

/// List or end the sessions of your browsers
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  muster account session list\n  muster account session end 0aB1cD2eF3gH")]
pub(crate) enum Session {
    /// List where you are signed in
    #[command(after_help = "Examples:\n  muster account session list")]
    List,
    /// End one of your sessions
    #[command(after_help = "Examples:\n  muster account session end 0aB1cD2eF3gH")]
    End {
        /// The session's id
        id: String,
    },
    /// End all of them but the one that asks
    #[command(after_help = "Examples:\n  muster account session end-others")]
    EndOthers,
}

impl Account {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::Show => output.show(&client.account().await?, login, describe),
            Self::SetLogin { login: text } => {
                let account = client.set_login(&SetLogin { login: text }).await?;
                output.show(&account, login, describe)
            }
            Self::SetPassword => set_password(operator).await,
            Self::SecondFactor(SecondFactor::Add) => add_second_factor(operator).await,
            Self::SecondFactor(SecondFactor::Remove) => {
                let password = password("password")?;
                let code = hidden(&ask_secret("code")?)?;
                let removed = client.remove_second_factor(&RemoveSecondFactor { password, code }).await?;
                output.show(&removed, |_| String::new(), |_| "the second factor is removed".to_owned())
            }
            Self::Session(session) => session.run(operator).await,
        }
    }
}

impl Session {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::List => {
                let sessions: Page<_> = client.own_sessions().await?;
                let header = ["ID", "THIS ONE", "METHOD", "FROM", "BROWSER", "SINCE", "SEEN"];
                let row = |session: &WebSession| row(session, operator);
                output.list(&sessions, |session| session.id.to_string(), &header, row, "no sessions")
            }
            Self::End { id: text } => {
                let id = text.parse().map_err(|_| {
                    let cause = format!("`{}` is not the id of a session", visible(&text));
                    Failure::usage(cause, "`muster account session list` shows ids")
                })?;
                let ended = client.end_session(id).await?;
                output.show(&ended, |_| String::new(), ended_in_words)
            }
            Self::EndOthers => {
                let ended = client.end_other_sessions().await?;
                output.show(&ended, |_| String::new(), ended_in_words)
            }
        }
    }
}

async fn set_password(operator: &Operator) -> Result<(), Failure> {
    let account = operator.client.account().await?;
    let current = match account.password_changed_at {
        Some(_) => Some(password("current password")?),
        None => None,
    };
    let new = new_password()?;
    let done = operator.client.set_password(&SetPassword { current, new }).await?;
    operator.output.show(&done, |_| String::new(), ended_in_words)?;
    if account.login.is_none() {
        operator.output.hint("to sign in with it, take a login: muster account set-login NAME");
    }
    Ok(())
}

async fn add_second_factor(operator: &Operator) -> Result<(), Failure> {
    let (client, output) = (&operator.client, operator.output);
    let begun = client.begin_second_factor(&BeginSecondFactor { password: password("password")? }).await?;
    // The code that is asked for next comes from these: they must be seen whatever the output is for.
    eprintln!("Secret  {}\nURL     {}", begun.secret, begun.otpauth_url);
    let code = hidden(&SecretString::from(ask_line("code of the new second factor")?))?;
    let codes = client.confirm_second_factor(&ConfirmSecondFactor { code }).await?;
    let lines = |codes: &muster_wire::sign_in::RecoveryCodes| codes.codes.join("\n");
    output.show(&codes, lines, lines)?;
    output.hint("keep these recovery codes: each opens your account once, and they are shown this once");
    Ok(())
}

/// Asks for a new password, twice.
pub(super) fn new_password() -> Result<Password, Failure> {
    let new = password("new password")?;
    if password("new password again")? == new {
        Ok(new)
    } else {
        Err(Failure::usage("the two do not match", "type the same new password twice"))
    }
}

/// Asks for a password.
pub(super) fn password(what: &str) -> Result<Password, Failure> {
    hidden(&ask_secret(what)?)
}

/// Takes what was typed as the wire takes it.
pub(super) fn hidden<const MAX: usize>(
    typed: &SecretString,
) -> Result<muster_wire::hidden::Hidden<MAX>, Failure> {
    muster_wire::hidden::Hidden::parse(typed.expose_secret())
        .map_err(|_| Failure::usage("what was typed is too long", "type it again"))
}

fn login(account: &View) -> String {
    account.login.clone().unwrap_or_default()
}

fn describe(account: &View) -> String {
    let second_factor = account.second_factor_confirmed_at;
    let codes = if second_factor.is_some() { account.recovery_codes_left.to_string() } else { String::new() };
    record(&[
        ("Login", account.login.clone().unwrap_or_else(|| "none".to_owned())),
        ("Password set", or_none(optional_moment(account.password_changed_at))),
        ("Second factor", or_none(optional_moment(second_factor))),
        ("Recovery codes left", codes),
    ])
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

fn row(session: &WebSession, operator: &Operator) -> Vec<String> {
    let now = operator.now();
    vec![
        session.id.to_string(),
        if session.current { "yes" } else { "" }.to_owned(),
        word(&session.method),
        session.source.clone(),
        session.user_agent.clone(),
        relative(session.created_at, now),
        relative(session.seen_at, now),
    ]
}

fn ended_in_words(done: &Done) -> String {
    match done.ended_sessions {
        0 => "done; no other session was open".to_owned(),
        1 => "done; one session ended".to_owned(),
        many => format!("done; {many} sessions ended"),
    }
}
