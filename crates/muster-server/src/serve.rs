//! Opens everything, serves both listeners, and closes in order.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use ipnet::IpNet;
use muster_edge::{Clock, Entropy};
use muster_http::{Edge, Limits, ListenerKind, Server, TrustedProxies};
use muster_ids::Timestamp;
use muster_keyring::{Keyring, MasterKey};
use muster_store::{Location, Store, StoreConfig};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::acme::AcmeOptions;
#[cfg(feature = "acme")]
use crate::acme::{ACME_DIR, Acme};
use crate::app::{App, Parts};
use crate::backup::Place;
use crate::channel::Hub;
use crate::installation::{Installation, Opening};
use crate::metrics::Metrics;
use crate::presence::Presences;
use crate::tls::{Tls, TlsSource};
use crate::unit::Author;
use crate::{reconcile, router, server_keys};

/// The file in the data folder that holds the setup code until the first admin exists.
pub const SETUP_CODE_FILE: &str = "setup-code";
pub(crate) const MASTER_KEY_FILE: &str = "master.key";
/// The embedded database in the data folder.
pub const DATABASE_FILE: &str = "muster.db";
/// Descriptors for everything but connections of clients: database, logs, tasks. Half of them when there are few.
const KEPT_DESCRIPTORS: usize = 256;
/// Connections of operators, who are on this machine.
const OPERATORS_CONNECTIONS: usize = 4096;
pub(crate) const LOCK_FILE: &str = "lock";
/// The folder in the data folder with what agents pin.
pub(crate) const TLS_DIR: &str = "tls";
/// How long channels may take to leave when the server stops.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// How long everything else may take: with what the database needs, a stop is over within half a minute.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// What `muster serve` is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where master key, certificate and the embedded database are.
    pub data_dir: PathBuf,
    /// Another database than the embedded one.
    pub database: Option<Location>,
    /// Another place of the master key, such as a systemd credential; never made when absent.
    pub master_key_file: Option<PathBuf>,
    /// Plain HTTP for operators; loopback only.
    pub operators: SocketAddr,
    /// TLS for machines and browsers.
    pub machines: SocketAddr,
    /// Where machines reach this server; wins over what the setup stored.
    pub public_urls: Vec<Url>,
    /// What connections may cost.
    pub limits: Limits,
    /// Networks that webhooks and the like may reach although they are not public.
    pub allow_outbound: Vec<IpNet>,
    /// The proxies whose word is taken for the address of a client.
    pub trusted_proxies: TrustedProxies,
    /// What the machines' listener shows.
    pub tls: TlsOptions,
}

/// What the machines' listener shows: nothing said is an identity of the server's own, pinned by agents.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// A certificate chain and its key, in PEM, kept by the operator.
    pub files: Option<(PathBuf, PathBuf)>,
    /// Whether agents pin the key in these files: its certificate is not publicly valid.
    pub pin: bool,
    /// A PEM file with certificates or public keys that will be shown: agents are told of them in advance.
    pub announce: Option<PathBuf>,
    /// Shows a key of the server's own although hosts pin another one.
    pub accept_new_key: bool,
    /// A certificate that is ordered, in place of files.
    pub acme: Option<AcmeOptions>,
}

impl Options {
    /// The defaults, with everything under `data_dir`.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            database: None,
            master_key_file: None,
            operators: SocketAddr::from(([127, 0, 0, 1], 8600)),
            machines: SocketAddr::from(([0, 0, 0, 0], 8643)),
            public_urls: Vec::new(),
            limits: Limits::default(),
            allow_outbound: Vec::new(),
            trusted_proxies: TrustedProxies::none(),
            tls: TlsOptions::default(),
        }
    }

    /// Takes the defaults, with everything at this place.
    pub fn at(place: Place) -> Self {
        let Place { data_dir, database, master_key_file } = place;
        Self { database, master_key_file, ..Self::new(data_dir) }
    }

    fn place(&self) -> Place {
        Place {
            data_dir: self.data_dir.clone(),
            database: self.database.clone(),
            master_key_file: self.master_key_file.clone(),
        }
    }
}

/// A server that listens.
pub struct Running {
    /// What its handlers hold.
    pub app: App,
    /// Where operators reach it.
    pub operators: SocketAddr,
    /// Where machines reach it.
    pub machines: SocketAddr,
    data_dir: PathBuf,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// Ends the reconcilers.
    shutdown: CancellationToken,
    /// Ends the listeners.
    hang_up: CancellationToken,
    _lock: fs::File,
}

/// Opens store and keys, binds both listeners and starts to serve.
pub async fn start(options: Options) -> anyhow::Result<Running> {
    if !options.operators.ip().is_loopback() {
        bail!(
            "the operators' listener speaks plain HTTP and must be on a loopback address: operators on other \
               machines use the TLS listener"
        );
    }
    create_data_dir(&options.data_dir)?;
    let lock = lock_data_dir(&options.data_dir)?;
    let (clock, entropy) = (Clock::system(), Entropy);
    let operators = bind(options.operators).await?;
    let machines = bind(options.machines).await?;
    let addresses = (operators.local_addr()?, machines.local_addr()?);
    let tls = open_tls(&options, addresses.1, clock.now())?;
    let app = open_app(&options, addresses, tls, clock, entropy).await?;
    let acceptor = app.installation.tls.acceptor()?;
    server_keys::say_pins(&app, &Author::system()).await.context("cannot read the keys of this server")?;
    let fleet = app.look(|tx| tx.hosts_active_count()).await.context("cannot count the hosts")?;
    app.hub.expect(usize::try_from(fleet).unwrap_or(usize::MAX));
    write_setup_code(&options.data_dir, &app)?;

    let (shutdown, hang_up) = (CancellationToken::new(), CancellationToken::new());
    let edge = Edge::new(app.clock.clone(), app.entropy).behind(options.trusted_proxies.clone());
    let router = router::router(app.clone(), edge.clone());
    let [of_operators, of_machines] = connections(options.limits.max_connections, raise_descriptors());
    let server = |kind, tls, max_connections| Server {
        kind,
        app: router.clone(),
        tls,
        limits: Limits { max_connections, ..options.limits.clone() },
        edge: edge.clone(),
    };
    let mut tasks = reconcile::spawn_all(&app, &shutdown);
    tasks.push(tokio::spawn(muster_http::serve(
        operators,
        server(ListenerKind::Operators, None, of_operators),
        hang_up.clone(),
    )));
    tasks.push(tokio::spawn(muster_http::serve(
        machines,
        server(ListenerKind::Machines, acceptor, of_machines),
        hang_up.clone(),
    )));
    let data_dir = options.data_dir;
    Ok(Running {
        app,
        operators: addresses.0,
        machines: addresses.1,
        data_dir,
        tasks,
        shutdown,
        hang_up,
        _lock: lock,
    })
}

impl Running {
    /// Accepts nobody any more, lets channels leave, finishes requests in flight, flushes, and lets go of the
    /// database.
    pub async fn stop(self) {
        self.hang_up.cancel();
        self.app.streams.end_all();
        self.app.hub.close();
        self.app.hub.leave_all();
        let waited = tokio::time::timeout(LEAVE_WITHIN, async {
            while !self.app.hub.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        if waited.await.is_err() {
            tracing::warn!(channels = self.app.hub.len(), "some channels did not leave in time");
        }
        self.shutdown.cancel();
        let until = tokio::time::Instant::now() + STOP_WITHIN;
        for mut task in self.tasks {
            match tokio::time::timeout_at(until, &mut task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a task of the server failed"),
                Err(_) => {
                    tracing::warn!("a task of the server did not end in time");
                    task.abort();
                }
            }
        }
        self.app.store.close().await;
    }

    /// Where the setup code is, while there is one.
    pub fn setup_code_file(&self) -> PathBuf {
        self.data_dir.join(SETUP_CODE_FILE)
    }
}

fn open_tls(options: &Options, machines: SocketAddr, now: Timestamp) -> anyhow::Result<Tls> {
    let dir = options.data_dir.join(TLS_DIR);
    let source = match (&options.tls.files, &options.tls.acme) {
        (Some(_), Some(_)) => bail!("a certificate is kept in files or ordered, not both"),
        (None, Some(acme)) => return order_tls(options, acme, dir, now),
        (Some((certificate, key)), None) => {
            let (certificate, key) = (certificate.clone(), key.clone());
            TlsSource::Files { certificate, key, pinned: options.tls.pin }
        }
        (None, None) => {
            create_data_dir(&dir)?;
            TlsSource::Own { dir, names: tls_names(options, machines) }
        }
    };
    Ok(Tls::open(source, options.tls.announce.clone(), now)?)
}

#[cfg(feature = "acme")]
fn order_tls(options: &Options, acme: &AcmeOptions, dir: PathBuf, now: Timestamp) -> anyhow::Result<Tls> {
    use muster_acme::{Allowed, Directory};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    create_data_dir(&dir)?;
    create_data_dir(&dir.join(ACME_DIR))?;
    let roots = match &acme.ca_file {
        Some(file) => {
            let pem = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            let roots = roots.ok().filter(|roots| !roots.is_empty());
            roots.with_context(|| format!("{} does not hold a certificate", file.display()))?
        }
        None => Vec::new(),
    };
    let allowed = Allowed::networks(&options.allow_outbound);
    let directory = Directory::new(&acme.directory, roots, allowed)?;
    Ok(Tls::ordering(Acme::new(acme.clone(), dir, directory), now)?)
}

#[cfg(not(feature = "acme"))]
fn order_tls(_: &Options, _: &AcmeOptions, _: PathBuf, _: Timestamp) -> anyhow::Result<Tls> {
    bail!("this program was built without ACME")
}

async fn open_app(
    options: &Options,
    (operators, machines): (SocketAddr, SocketAddr),
    tls: Tls,
    clock: Clock,
    entropy: Entropy,
) -> anyhow::Result<App> {
    let (store, keyring) = open_alone(&options.place(), &clock, &entropy).await?;
    if !options.tls.accept_new_key {
        server_keys::refuse_unknown(&store, &tls).await?;
    }
    let installation = Installation::open(Opening {
        store: &store,
        keyring: &keyring,
        clock: &clock,
        entropy: &entropy,
        tls,
        loopback_urls: loopback_urls(operators, machines)?,
        given_urls: options.public_urls.clone(),
        default_urls: default_urls(options, machines)?,
        setup_code_file: options.data_dir.join(SETUP_CODE_FILE),
    })
    .await?;
    Ok(App::new(Parts {
        store,
        keyring,
        clock,
        entropy,
        installation,
        hub: Hub::default(),
        presences: Presences::default(),
        census: crate::census::Census::default(),
        former_uses: crate::former_uses::FormerUses::default(),
        metrics: Metrics::default(),
        used_proofs: crate::auth::UsedProofs::default(),
        limits: crate::limits::FailureLimits::default(),
        budgets: crate::budgets::Budgets::default(),
        tally: crate::enrol::Tally::default(),
        arrivals: crate::enrol::Arrivals::default(),
        at_the_door: crate::enrol::AtTheDoor::default(),
        on_their_way: crate::host_config::OnTheirWay::default(),
        streams: crate::streams::Streams::default(),
        credentials: crate::auth::Credentials::default(),
        revocations: crate::revocations::Revocations::default(),
        uses: crate::uses::Uses::default(),
        trail: crate::trail::Trail::default(),
        attempts: crate::failed_attempts::FailedAttempts::default(),
        sealer: Notify::new(),
        outbound: crate::outbound::Gate::reaching(&options.allow_outbound),
        oidc: crate::oidc::Providers::default(),
        news: crate::news::News::default(),
    }))
}

/// Opens database and keys as the only process that does so.
pub(crate) async fn open_alone(
    place: &Place,
    clock: &Clock,
    entropy: &Entropy,
) -> anyhow::Result<(Store, Arc<Keyring>)> {
    let store = Store::open_alone(StoreConfig::new(place.location(), clock.clone()))
        .await
        .context("cannot open the database")?;
    crate::backup::refuse_unfinished(&store, &place.data_dir).await?;
    let has_data = store.read(|tx| tx.installation_exists()).await.context("cannot read the database")?;
    let master = match &place.master_key_file {
        Some(file) => MasterKey::load_credential(file)?,
        None => MasterKey::load_or_create(&place.key_file(), has_data, entropy)?,
    };
    Ok((store, Arc::new(Keyring::derive(&master))))
}

/// Lets this process open as many files as its user may, and returns how many that are.
fn raise_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Divides what may be open among operators and machines, so that out of descriptors the server never is: a flood of
/// machines takes neither the operators' connections nor the files of the database.
fn connections(most: usize, descriptors: usize) -> [usize; 2] {
    let kept = KEPT_DESCRIPTORS.min(descriptors / 2);
    let for_sockets = (descriptors - kept).max(4);
    let of_operators = (for_sockets / 4).min(OPERATORS_CONNECTIONS).min(most);
    [of_operators, (for_sockets - of_operators).min(most)]
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: is another server running there?"))
}

pub(crate) fn create_data_dir(dir: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot create the data folder {}", dir.display()))?;
    let found = fs::metadata(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        bail!("the data folder {} belongs to another user: its keys cannot be trusted", dir.display());
    }
    if found.mode() & 0o022 != 0 {
        let folder = dir.display();
        bail!("others may write to the data folder {folder}: run chmod go-w {folder}");
    }
    Ok(())
}

/// Two servers on one folder would each believe to be the only writer.
pub(crate) fn lock_data_dir(dir: &Path) -> anyhow::Result<fs::File> {
    let path = dir.join(LOCK_FILE);
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        anyhow::anyhow!("the data folder {} is in use by another muster server", dir.display())
    })?;
    Ok(file)
}

fn write_setup_code(dir: &Path, app: &App) -> anyhow::Result<()> {
    let path = dir.join(SETUP_CODE_FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", path.display()));
        }
        _ => {}
    }
    let Some(code) = app.installation.setup_code() else { return Ok(()) };
    let mut file = fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(file, "{}", code.expose_secret()).with_context(|| format!("cannot write {}", path.display()))
}

fn tls_names(options: &Options, machines: SocketAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    names.extend(reachable_ip(machines).map(|ip| ip.to_string()));
    names.extend(options.public_urls.iter().filter_map(|url| url.host_str().map(str::to_owned)));
    names.sort();
    names.dedup();
    names
}

fn loopback_urls(operators: SocketAddr, machines: SocketAddr) -> anyhow::Result<Vec<Url>> {
    let texts = [format!("http://{operators}"), format!("https://127.0.0.1:{}", machines.port())];
    texts.iter().map(|text| Url::parse(text).context("a listener's address makes no URL")).collect()
}

/// The name a certificate is ordered for, else the default route's address, else loopback.
fn default_urls(options: &Options, machines: SocketAddr) -> anyhow::Result<Vec<Url>> {
    if let Some(name) = options.tls.acme.as_ref().and_then(|acme| acme.names.first()) {
        let url = Url::parse(&format!("https://{name}:{}", machines.port()));
        return Ok(vec![url.context("the name of the certificate makes no URL")?]);
    }
    let ip = reachable_ip(machines).unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let address = SocketAddr::new(ip, machines.port());
    Ok(vec![Url::parse(&format!("https://{address}")).context("the default route's address makes no URL")?])
}

/// Asks the routing table; nothing is sent.
fn reachable_ip(machines: SocketAddr) -> Option<IpAddr> {
    if !machines.ip().is_unspecified() {
        return Some(machines.ip());
    }
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests;
