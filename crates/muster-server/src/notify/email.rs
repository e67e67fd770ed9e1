//! Mail over SMTP: encrypted, or to a server that the owner of this one listed.

mod clear;

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use muster_ids::Timestamp;
use muster_wire::notification::{EmailConfig, MailAddress, MailSecurity};
use tokio::net::TcpStream;

use clear::ClearUntilTls;

use super::text::Message;
use super::{SendFailure, Sent, post};
use crate::outbound::Gate;

/// From the first look at the server's name to its last word.
const WITHIN: Duration = Duration::from_secs(25);
/// How long one address may take to take a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Sends a message to everybody the configuration names.
pub async fn send(
    gate: &Gate,
    config: &EmailConfig,
    message: &Message,
    now: Timestamp,
) -> Result<Sent, SendFailure> {
    let mail = compose(config, message, now)?;
    match tokio::time::timeout(WITHIN, hand_over(gate, config, &mail)).await {
        Ok(handed_over) => handed_over,
        Err(_) => Err(SendFailure::new(format!("no whole answer within {} s", WITHIN.as_secs()))),
    }
}

async fn hand_over(gate: &Gate, config: &EmailConfig, mail: &lettre::Message) -> Result<Sent, SendFailure> {
    let mut connection = connect(gate, config).await?;
    let handed_over = converse(&mut connection, config, mail).await;
    match &handed_over {
        // The mail was taken; how the server says goodbye is no matter.
        Ok(_) => drop(connection.quit().await),
        Err(_) => connection.abort().await,
    }
    handed_over
}

async fn connect(gate: &Gate, config: &EmailConfig) -> Result<AsyncSmtpConnection, SendFailure> {
    let port = u16::try_from(config.port.get()).map_err(|_| SendFailure::new("the port is none"))?;
    let server = config.server.as_str();
    if config.security == MailSecurity::Plain {
        post::must_be_listed(gate, server, port).await?;
    }
    let addresses = gate.resolve(server, port).await?;
    let hello = hello(config);
    let connected = match config.security {
        MailSecurity::Tls => {
            let (to, tls) = (addresses.as_slice(), tls(gate, server)?);
            AsyncSmtpConnection::connect_tokio1(to, Some(CONNECT_WITHIN), &hello, Some(tls), None).await
        }
        MailSecurity::Starttls | MailSecurity::Plain => {
            let stream = Box::new(ClearUntilTls::new(dial(&addresses, server).await?));
            AsyncSmtpConnection::connect_with_transport(stream, &hello).await
        }
    };
    let mut connection = connected.map_err(|error| failed("connecting", &error))?;
    if config.security == MailSecurity::Starttls {
        // Never without: whoever stands between could take the offer away.
        if !connection.can_starttls() {
            connection.abort().await;
            return Err(SendFailure::new("the mail server does not offer STARTTLS"));
        }
        let tls = tls(gate, server)?;
        connection.starttls(tls, &hello).await.map_err(|error| failed("STARTTLS", &error))?;
    }
    Ok(connection)
}

async fn dial(addresses: &[SocketAddr], server: &str) -> Result<TcpStream, SendFailure> {
    for address in addresses {
        if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            return Ok(stream);
        }
    }
    Err(SendFailure::new(format!("cannot connect to {server}")))
}

async fn converse(
    connection: &mut AsyncSmtpConnection,
    config: &EmailConfig,
    mail: &lettre::Message,
) -> Result<Sent, SendFailure> {
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        let credentials = Credentials::new(user.to_string(), password.expose().to_owned());
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        let signed_in = connection.auth(&mechanisms, &credentials).await;
        signed_in.map_err(|error| failed("signing in", &error))?;
    }
    let envelope = Envelope::new(Some(address(&config.from)?), recipients(config)?).map_err(unusable)?;
    let sent = connection.send(&envelope, &mail.formatted()).await;
    let taken = sent.map_err(|error| failed("sending", &error))?;
    Ok(Sent { status: Some(taken.code().into()) })
}

fn tls(gate: &Gate, server: &str) -> Result<TlsParameters, SendFailure> {
    let unusable = |_| SendFailure::new("the trusted certificates cannot be read");
    let mut builder = TlsParameters::builder(server.to_owned());
    for root in gate.client.extra_roots() {
        builder = builder.add_root_certificate(Certificate::from_der(root.to_vec()).map_err(unusable)?);
    }
    builder.build_rustls().map_err(unusable)
}

fn compose(config: &EmailConfig, message: &Message, now: Timestamp) -> Result<lettre::Message, SendFailure> {
    let domain = domain(&config.from);
    let since_epoch = Duration::from_millis(now.as_millis().unsigned_abs());
    let mut builder: MessageBuilder = lettre::Message::builder()
        .from(Mailbox::new(Some("Muster".to_owned()), address(&config.from)?))
        .subject(message.subject.clone())
        .date(UNIX_EPOCH + since_epoch)
        .message_id(Some(format!("<{}@{domain}>", message.key)))
        .raw_header(HeaderValue::new(
            // RFC 3834: no vacation notice answers it.
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .header(ContentType::TEXT_PLAIN);
    for recipient in config.to.iter() {
        builder = builder.to(Mailbox::new(None, address(recipient)?));
    }
    builder.body(message.plain()).map_err(unusable)
}

fn recipients(config: &EmailConfig) -> Result<Vec<Address>, SendFailure> {
    config.to.iter().map(address).collect()
}

fn address(address: &MailAddress) -> Result<Address, SendFailure> {
    address.as_str().parse().map_err(unusable)
}

fn unusable<E>(_: E) -> SendFailure {
    SendFailure::new("an address cannot be used")
}

fn domain(address: &MailAddress) -> &str {
    address.as_str().rsplit_once('@').map_or("localhost", |(_, domain)| domain)
}

fn hello(config: &EmailConfig) -> ClientId {
    ClientId::Domain(domain(&config.from).to_owned())
}

/// Says what failed without what the server said: it may repeat what it was told.
fn failed(doing: &str, error: &SmtpError) -> SendFailure {
    match error.status() {
        Some(code) => {
            let status: u16 = code.into();
            SendFailure::new(format!("{doing} failed: the mail server refused")).with_status(status)
        }
        None if error.is_timeout() => SendFailure::new(format!("{doing} took too long")),
        None if error.is_tls() => SendFailure::new(format!("{doing} failed: TLS could not be agreed on")),
        None => SendFailure::new(format!("{doing} failed: the connection broke, or it is no mail server")),
    }
}

#[cfg(test)]
mod tests;
