#[cfg(feature = "acme")]
mod acme;

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use muster_server::installation::is_public_url;
use muster_server::serve::{Options, Running, start};
use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use url::Url;

use super::place::{ServerListeners, ServerPlace};
use crate::failure::Failure;
use crate::output::{Format, Output, visible};

const EXAMPLES: &str = "\
Operators reach it over plain HTTP on this machine; machines, and operators elsewhere, over TLS
with a key made at the first start. Everything it keeps is in the data folder, which is made when
absent.

Examples:
  muster serve
  muster serve --data-dir /var/lib/muster --public-url https://muster.example:8643
  muster serve --database postgres://muster@db.example/muster
  muster serve --operators 127.0.0.1:9600 --machines 0.0.0.0:9643
  muster serve --machines 0.0.0.0:443 --acme-domain muster.example

On the first start it prints a one-time setup code; `muster setup` makes the first admin with it.
Ctrl-C or SIGTERM lets agents leave and finishes what is in flight; SIGHUP reads the files of the
certificate again, and orders one again whose order failed.";

/// Run the server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    #[command(flatten)]
    place: ServerPlace,
    #[command(flatten)]
    listeners: ServerListeners,
    /// Address machines are told to use, best first; repeat for several [default: what the setup stored, else this
    /// machine's own address]
    #[arg(
        long = "public-url",
        env = "MUSTER_PUBLIC_URLS",
        hide_env_values = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    public_urls: Vec<Url>,
    /// Most connections at a time, on each listener
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: Option<u32>,
    /// Network that webhooks, mail servers and sign-in providers may be in although it is not public, for example
    /// 10.1.0.0/16; repeat for several
    #[arg(
        long,
        env = "MUSTER_ALLOW_OUTBOUND",
        hide_env_values = true,
        value_name = "CIDR",
        value_delimiter = ','
    )]
    allow_outbound: Vec<IpNet>,
    /// Address or network of a proxy in front of this server, for example 10.2.0.7 or 10.2.0.0/24, whose
    /// X-Forwarded-For says who a client is; repeat for several [default: nobody's is believed]
    #[arg(
        long = "trusted-proxy",
        env = "MUSTER_TRUSTED_PROXIES",
        hide_env_values = true,
        value_name = "CIDR",
        value_delimiter = ','
    )]
    trusted_proxies: Vec<String>,
    /// File with the certificate chain machines see, in PEM, leaf first; read again when it changes or on SIGHUP [default:
    /// one the server makes, whose key agents pin]
    #[arg(long, env = "MUSTER_TLS_CERT", hide_env_values = true, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// File with the key of --tls-cert, in PEM, readable by nobody else
    #[arg(long, env = "MUSTER_TLS_KEY", hide_env_values = true, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let agents pin the key of --tls-cert: its certificate is not publicly valid
    #[arg(long, env = "MUSTER_TLS_PIN", hide_env_values = true, requires = "tls_cert")]
    tls_pin: bool,
    /// File with the certificate or public key that will be shown next, in PEM: agents are told of it in advance
    #[arg(long, env = "MUSTER_TLS_ANNOUNCE", hide_env_values = true, value_name = "FILE")]
    tls_announce: Option<PathBuf>,
    /// Show the TLS key in the data folder although it is another one than the hosts of this server know: each of them
    /// needs a join string again
    #[arg(long, conflicts_with = "tls_cert")]
    accept_new_tls_key: bool,
    #[cfg(feature = "acme")]
    #[command(flatten)]
    order: acme::Order,
    /// What to log: error, warn, info, debug, trace, or target=level pairs
    #[arg(long, env = "MUSTER_LOG", hide_env_values = true, value_name = "FILTER", default_value = "info")]
    log: String,
    /// How to log, to standard error: lines for people, or one JSON object a line
    #[arg(long, value_enum, value_name = "text|json", hide_possible_values = true, default_value_t)]
    log_format: LogFormat,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.begin_log()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::plain(format!("cannot start: {error}")))?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<(), Failure> {
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|error| Failure::plain(error.to_string()))?;
        let mut interrupt =
            signal(SignalKind::interrupt()).map_err(|error| Failure::plain(error.to_string()))?;
        let mut hang_up = signal(SignalKind::hangup()).map_err(|error| Failure::plain(error.to_string()))?;
        let running = start(self.options()?).await.map_err(|error| Failure::plain(format!("{error:#}")))?;
        announce(&running)?;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => running.app.installation.tls.look_again(),
            }
        }
        running.stop().await;
        Ok(())
    }

    fn options(self) -> Result<Options, Failure> {
        let mut options = Options::at(self.place.place()?);
        options.operators = self.listeners.operators;
        options.machines = self.listeners.machines;
        if let Some(url) = self.public_urls.iter().find(|url| !is_public_url(url)) {
            return Err(Failure::usage(
                format!("machines cannot use {}", visible(url.as_str())),
                "give --public-url as https://NAME:PORT, without user, query or fragment",
            ));
        }
        options.public_urls = self.public_urls;
        options.allow_outbound = self.allow_outbound;
        options.trusted_proxies = self.trusted_proxies.join(",").parse().map_err(|error| {
            Failure::usage(
                format!("{error}"),
                "name the proxies alone, for example --trusted-proxy 10.2.0.7: whoever is in it chooses the address \
                 that limits and the audit trail see",
            )
        })?;
        options.tls.files = self.tls_cert.zip(self.tls_key);
        options.tls.pin = self.tls_pin;
        options.tls.announce = self.tls_announce;
        options.tls.accept_new_key = self.accept_new_tls_key;
        #[cfg(feature = "acme")]
        {
            options.tls.acme = self.order.options();
        }
        if let Some(most) = self.max_connections {
            options.limits.max_connections = usize::try_from(most).unwrap_or(usize::MAX);
        }
        Ok(options)
    }

    fn begin_log(&self) -> Result<(), Failure> {
        let filter = EnvFilter::try_new(&self.log).map_err(|_| {
            Failure::usage(
                "--log is not a filter",
                "for example --log info, or --log warn,muster_server=debug",
            )
        })?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
        // The words about a line that was not written would go to the same full disk, and end the thread that wrote it.
        let log = log.log_internal_errors(false);
        match self.log_format {
            LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
            LogFormat::Json => log.json().init(),
        }
        Ok(())
    }
}

/// Says where the server is and, until the first admin exists, how to make them.
fn announce(running: &Running) -> Result<(), Failure> {
    let output = Output::new(Format::Table, false);
    let installation = &running.app.installation;
    output.line(&format!("operators  http://{}", running.operators))?;
    output.line(&format!("dashboard  http://{}/", running.operators))?;
    output.line(&format!("api docs   http://{}/docs", running.operators))?;
    for url in installation.public_urls() {
        output.line(&format!("machines   {url}"))?;
    }
    if let Some(order) = installation.tls.order() {
        let state = if order.temporary { "ordered, not there yet: see muster tls show" } else { "ordered" };
        output.line(&format!("certificate {state}"))?;
    }
    for pin in installation.tls.pins() {
        output.line(&format!("pin        {pin}"))?;
    }
    for pin in installation.tls.next_pins() {
        output.line(&format!("next pin   {pin}"))?;
    }
    let Some(code) = installation.setup_code() else { return Ok(()) };
    let file = running.setup_code_file();
    output.line(&format!("setup code {} (also in {})", code.expose_secret(), file.display()))?;
    output
        .line(&format!("next       http://{}/setup in a browser of this machine, or", running.operators))?;
    output.line(&format!(
        "           muster setup --url http://{} --code-file {}",
        running.operators,
        file.display()
    ))
}

#[cfg(test)]
mod tests;
