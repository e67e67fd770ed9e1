//! A PostgreSQL server that crashes, is away, and loses the reply to COMMIT (SECURITY C7).

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use muster_ids::HostId;
use muster_testkit::ports;
use muster_testkit::postgres::{Cluster, Database};
use muster_testkit::proxy::{Fault, Proxy};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::faults::Random;
use crate::harness::{Backend, Installation, Machine, Server, is_soak, until};

/// COMMIT as the driver sends it.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
const MACHINES: usize = 24;
const GETS_IN_WITHIN: Duration = Duration::from_secs(60);

/// A server whose database is reached through `address`.
async fn installation_through(database: &Database, address: SocketAddr) -> Installation {
    let (user, place) = database.url().split_once('@').unwrap();
    let (_, name) = place.split_once('/').unwrap();
    let mut server = Server::prepare(Backend::Sqlite);
    server.add_arguments(&["--database", &format!("{user}@{address}/{name}")]);
    server.launch().await;
    Installation::over(server).await
}

fn address_of(database: &Database) -> SocketAddr {
    let (_, place) = database.url().split_once('@').unwrap();
    place.split_once('/').unwrap().0.parse().unwrap()
}

/// Asks until it is in. Every answer in between must be a 503; whatever was promised stays.
async fn gets_in(machine: &Machine, token: &str) -> HostId {
    until("a machine does not get in", GETS_IN_WITHIN, async || {
        let reply = machine.enrol(token).await.ok()?;
        assert!(matches!(reply.status, 200 | 201 | 503), "{reply:?}");
        (reply.status != 503).then(|| reply.json["host_id"].as_str().unwrap().parse().unwrap())
    })
    .await
}

/// Enrols machines while `trouble` lasts, and compares what they were promised with what there is.
async fn enrol_through(installation: &mut Installation, trouble: impl AsyncFn(&AtomicBool)) {
    let (mut machines, mut tokens) = (Vec::new(), Vec::new());
    for n in 0..MACHINES {
        machines.push(installation.machine(&format!("machine-{n}")));
        tokens.push(installation.token().await.token);
    }
    let is_over = AtomicBool::new(false);
    let enrolling = async {
        let hosts = join_all(machines.iter().zip(&tokens).map(|(machine, token)| gets_in(machine, token)));
        let hosts = hosts.await;
        is_over.store(true, Ordering::SeqCst);
        hosts
    };
    let (hosts, ()) = tokio::join!(enrolling, trouble(&is_over));
    assert!(installation.server.is_running(), "{}", installation.server.said());
    for ((machine, token), promised) in machines.iter().zip(&tokens).zip(&hosts) {
        assert_eq!(gets_in(machine, token).await, *promised, "an acknowledged machine became another host");
        let host = installation.host(*promised).await;
        assert_eq!(host.keys, [machine.key_name()], "an acknowledged host lost its key");
    }
    let different: BTreeSet<&HostId> = hosts.iter().collect();
    assert_eq!(different.len(), MACHINES, "two tokens made one host");
    assert_eq!(installation.hosts().await.len(), MACHINES, "a token made two hosts");
    let said = installation.server.said();
    assert!(!said.contains("panicked"), "{said}");
}

/// Kills a process that serves this database, as a machine without memory does: PostgreSQL then ends all its sessions
/// at once and recovers from its log.
fn crash(database: &Database) {
    let (_, name) = database.url().rsplit_once('/').unwrap();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let title = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if title.starts_with("postgres:") && title.contains(&format!(" {name} ")) {
            let pid = entry.file_name().to_str().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
            if kill_process(pid.unwrap(), Signal::KILL).is_ok() {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c07_a_database_that_crashes_and_is_away_loses_and_doubles_nobody() {
    let cluster = Cluster::start().unwrap();
    let database = cluster.database();
    let front = Proxy::start(address_of(&database)).await.unwrap();
    let mut installation = installation_through(&database, front.address()).await;
    let random = Mutex::new(Random::seeded());
    enrol_through(&mut installation, async |is_over| {
        let mut faults = 0;
        while faults < if is_soak() { 100 } else { 4 } && (faults == 0 || !is_over.load(Ordering::SeqCst)) {
            let wait = Duration::from_millis(random.lock().unwrap().below(250));
            tokio::time::sleep(wait).await;
            if faults % 2 == 0 {
                crash(&database);
            } else {
                front.fail(Fault::Refuse);
                front.cut();
                tokio::time::sleep(wait).await;
                front.fail(Fault::None);
            }
            faults += 1;
        }
        eprintln!("{faults} faults");
    })
    .await;
    let lost = "was lost, making it again";
    assert!(installation.server.said().contains(lost), "the server lost no connection");
}

/// Stands before PostgreSQL and cuts connections at their COMMIT.
struct CommitCutter {
    address: SocketAddr,
    cuts: Arc<AtomicUsize>,
    is_cutting: Arc<AtomicBool>,
}

impl CommitCutter {
    async fn start(upstream: SocketAddr, random: Random) -> Self {
        let listener = TcpListener::bind(ports::free()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, is_cutting) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let random = Arc::new(Mutex::new(random));
        let (counted, asked) = (Arc::clone(&cuts), Arc::clone(&is_cutting));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (cuts, is_cutting, random) =
                    (Arc::clone(&counted), Arc::clone(&asked), Arc::clone(&random));
                tokio::spawn(async move {
                    // Of four commits one is never sent, and one is sent and never answered.
                    let draw = || match random.lock().unwrap().below(4) {
                        draw if is_cutting.load(Ordering::SeqCst) => draw,
                        _ => 3,
                    };
                    if let Ok(server) = TcpStream::connect(upstream).await
                        && carry(client, server, draw).await
                    {
                        cuts.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { address, cuts, is_cutting }
    }
}

/// Carries one connection to its end. `true`: it was cut at a COMMIT.
async fn carry(mut client: TcpStream, mut server: TcpStream, draw: impl Fn() -> u64) -> bool {
    let (mut request, mut reply) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return false };
                let fate = if request[..length].ends_with(COMMIT) { draw() } else { 3 };
                if fate == 0 {
                    return true;
                }
                if server.write_all(&request[..length]).await.is_err() {
                    return false;
                }
                if fate == 1 {
                    // The answer says that it is durable; nobody hears it.
                    let _ = server.read(&mut reply).await;
                    return true;
                }
            }
            read = server.read(&mut reply) => {
                let Ok(length @ 1..) = read else { return false };
                if client.write_all(&reply[..length]).await.is_err() {
                    return false;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c07_a_commit_whose_reply_is_lost_loses_and_doubles_nobody() {
    let database = Cluster::shared().database();
    let cutter = CommitCutter::start(address_of(&database), Random::seeded()).await;
    let mut installation = installation_through(&database, cutter.address).await;
    enrol_through(&mut installation, async |is_over| {
        cutter.is_cutting.store(true, Ordering::SeqCst);
        until("the machines do not get in", GETS_IN_WITHIN * 2, async || {
            is_over.load(Ordering::SeqCst).then_some(())
        })
        .await;
        cutter.is_cutting.store(false, Ordering::SeqCst);
    })
    .await;
    let cuts = cutter.cuts.load(Ordering::SeqCst);
    eprintln!("{cuts} connections were cut at their COMMIT");
    assert!(cuts >= MACHINES / 4, "only {cuts} connections were cut at their COMMIT");
}
