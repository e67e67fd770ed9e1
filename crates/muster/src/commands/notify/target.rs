//! Where a notification goes, as it is typed.

use std::str::FromStr;

use clap::Args;
use muster_wire::bounds::Whole;
use muster_wire::endpoint::{EndpointKind, EndpointTarget};
use muster_wire::notification::{
    EmailConfig, HttpUrl, MailAddress, MailSecurity, MailServer, MatrixConfig, MatrixRoom, NtfyConfig,
    NtfyTopic, SecretLine, SlackConfig, TeamsConfig,
};
use muster_wire::text::{Line, TextError};
use secrecy::ExposeSecret;

use crate::failure::Failure;
use crate::input::{Source, wire_text, wire_word};

/// Where it goes, and with which credentials.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// How it is spoken to
    #[arg(long, value_name = "KIND", value_parser = wire_word::<EndpointKind>(&["email", "ntfy", "slack", "teams", "matrix"]))]
    kind: EndpointKind,
    /// Mail server; the port is 587, or 465 with --security tls, when not said
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Mail")]
    server: Option<ServerAndPort>,
    /// How the mail server is spoken to; plain only where the server's owner allowed it [default: starttls]
    #[arg(long, value_name = "HOW", help_heading = "Mail", value_parser = wire_word::<MailSecurity>(&["starttls", "tls", "plain"]))]
    security: Option<MailSecurity>,
    /// Who the mail is from
    #[arg(long, value_name = "ADDRESS", help_heading = "Mail", value_parser = wire_text::<MailAddress>)]
    from: Option<MailAddress>,
    /// Who gets the mail; repeat for several
    #[arg(long, value_name = "ADDRESS", help_heading = "Mail", value_parser = wire_text::<MailAddress>)]
    to: Vec<MailAddress>,
    /// Who signs in to the mail server
    #[arg(long, value_name = "NAME", help_heading = "Mail", value_parser = wire_text::<Line<255>>, requires = "password_file")]
    user: Option<Line<255>>,
    /// File with the password; - reads standard input
    #[arg(long, value_name = "FILE", help_heading = "Mail", requires = "user")]
    password_file: Option<Source>,
    /// Server of ntfy, or homeserver of Matrix
    #[arg(long, value_name = "URL", help_heading = "Chats", value_parser = wire_text::<HttpUrl>)]
    server_url: Option<HttpUrl>,
    /// File with the URL that is a credential: of Slack or Teams; - reads standard input
    #[arg(long, value_name = "FILE", help_heading = "Chats", conflicts_with = "server_url")]
    url_file: Option<Source>,
    /// Topic of ntfy, where readers must sign in
    #[arg(long, value_name = "TOPIC", help_heading = "Chats", value_parser = wire_text::<NtfyTopic>)]
    topic: Option<NtfyTopic>,
    /// File with the topic of ntfy, where who knows it may read it; - reads standard input
    #[arg(long, value_name = "FILE", help_heading = "Chats", conflicts_with = "topic")]
    topic_file: Option<Source>,
    /// Room of Matrix: its id, which begins with !
    #[arg(long, value_name = "ROOM", help_heading = "Chats", value_parser = wire_text::<MatrixRoom>)]
    room: Option<MatrixRoom>,
    /// File with the access token; - reads standard input
    #[arg(long, value_name = "FILE", help_heading = "Chats")]
    access_token_file: Option<Source>,
}

/// A mail server as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerAndPort {
    server: MailServer,
    port: Option<Whole<1, 65_535>>,
}

impl FromStr for ServerAndPort {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "expected HOST or HOST:PORT, an IPv6 address in brackets";
        let port = |text: &str| text.parse().ok().and_then(Whole::new).ok_or(FORM);
        let (server, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, "")) => (address, None),
            Some((address, rest)) => (address, Some(port(rest.strip_prefix(':').ok_or(FORM)?)?)),
            None => match text.split_once(':') {
                Some((server, number)) => (server, Some(port(number)?)),
                None => (text, None),
            },
        };
        Ok(Self { server: server.parse().map_err(|_| FORM)?, port })
    }
}

impl Target {
    /// Reads the credentials and puts the target together.
    pub(super) fn read(self) -> Result<EndpointTarget, Failure> {
        match self.kind {
            EndpointKind::Email => self.email(),
            EndpointKind::Ntfy => self.ntfy(),
            EndpointKind::Slack => Ok(EndpointTarget::Slack(SlackConfig { url: self.secret_url()? })),
            EndpointKind::Teams => Ok(EndpointTarget::Teams(TeamsConfig { url: self.secret_url()? })),
            EndpointKind::Matrix => self.matrix(),
            EndpointKind::Webhook => {
                Err(Failure::usage("a webhook is no notification", "see `muster webhook --help`"))
            }
        }
    }

    fn email(self) -> Result<EndpointTarget, Failure> {
        let ServerAndPort { server, port } = needed(self.server, "email", "--server")?;
        let security = self.security.unwrap_or(MailSecurity::Starttls);
        let usual = match security {
            MailSecurity::Starttls => 587,
            MailSecurity::Tls => 465,
            MailSecurity::Plain => 25,
        };
        if self.to.is_empty() || self.to.len() > 20 {
            return Err(Failure::usage("email needs --to, one to twenty times", "say who gets the mail"));
        }
        Ok(EndpointTarget::Email(EmailConfig {
            server,
            port: port.unwrap_or(Whole::clamped(usual)),
            security,
            from: needed(self.from, "email", "--from")?,
            to: self.to.into_iter().collect(),
            user: self.user,
            password: secret(self.password_file, "password", SecretLine::parse)?,
        }))
    }

    fn ntfy(self) -> Result<EndpointTarget, Failure> {
        let topic = match self.topic {
            Some(topic) => Some(topic),
            None => secret(self.topic_file, "topic", NtfyTopic::parse)?,
        };
        Ok(EndpointTarget::Ntfy(NtfyConfig {
            url: needed(self.server_url, "ntfy", "--server-url")?,
            topic: needed(topic, "ntfy", "--topic or --topic-file")?,
            token: secret(self.access_token_file, "token", SecretLine::parse)?,
        }))
    }

    fn matrix(self) -> Result<EndpointTarget, Failure> {
        Ok(EndpointTarget::Matrix(MatrixConfig {
            url: needed(self.server_url, "matrix", "--server-url")?,
            room: needed(self.room, "matrix", "--room")?,
            token: needed(
                secret(self.access_token_file, "token", SecretLine::parse)?,
                "matrix",
                "--access-token-file",
            )?,
        }))
    }

    fn secret_url(self) -> Result<HttpUrl, Failure> {
        needed(secret(self.url_file, "URL", HttpUrl::parse)?, "this kind", "--url-file")
    }
}

fn needed<T>(given: Option<T>, kind: &str, option: &str) -> Result<T, Failure> {
    given.ok_or_else(|| Failure::usage(format!("{kind} needs {option}"), "see `muster notify create --help`"))
}

fn secret<T>(
    source: Option<Source>,
    what: &str,
    parse: impl FnOnce(&str) -> Result<T, TextError>,
) -> Result<Option<T>, Failure> {
    let Some(source) = source else { return Ok(None) };
    let line = source.read_line(what)?;
    let parsed = parse(line.expose_secret());
    parsed
        .map(Some)
        .map_err(|_| Failure::usage(format!("{source} does not hold a {what}"), "name the right file"))
}

#[cfg(test)]
mod tests;
