//! A machine behind a proxy, and one whose name service is gone: the real agent, a real server, a CONNECT proxy.

use std::fs;
use std::process::Command;
use std::time::Duration;

use muster_ids::HostId;
use muster_testkit::binaries::{self, Running};
use muster_testkit::canary::{self, Canary};
use muster_testkit::connect_proxy::{ConnectProxy, Service};
use muster_testkit::imposter::{Face, Imposter, Manner, Wrong};

use crate::harness::{Agent, Backend, Installation, Server, is_soak, until};

/// A name that only the proxy knows.
const NAME: &str = "muster.test";
const PASSWORD: &str = "canary-5f3a9b-of-the-proxy";

/// A server that machines reach by a name alone.
async fn named() -> Installation {
    let mut server = Server::prepare(Backend::Sqlite);
    server.set_public_urls(vec![format!("https://{NAME}:{}", server.machines.port())]);
    server.launch().await;
    Installation::over(server).await
}

fn behind(installation: &Installation, name: &str, proxy: &ConnectProxy) -> Agent {
    let mut agent = Agent::new(installation.server.folder(), name, &format!("proxied-{name}"));
    agent.environment.push(("HTTPS_PROXY", format!("http://robot:{PASSWORD}@{}", proxy.address())));
    agent
}

async fn until_channels(installation: &Installation, channels: f64) {
    until("the channel does not come", Duration::from_secs(60), async || {
        (installation.server.metric("muster_channels").await == channels).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_channel_and_heartbeat_go_through_a_proxy_with_a_password() {
    let installation = named().await;
    let machines = installation.server.machines;
    // `robot:` and the password, as RFC 7617 writes them.
    let basic = "Proxy-Authorization: Basic cm9ib3Q6Y2FuYXJ5LTVmM2E5Yi1vZi10aGUtcHJveHk=";
    let proxy = ConnectProxy::start(Service::TunnelFor(basic, machines)).await;
    let token = installation.token().await;
    let mut agent = behind(&installation, "host", &proxy);
    let host = agent.joined(&token.join_string).await;
    agent.run();
    installation.until_presence(host, "online", Duration::from_secs(20)).await;
    let heads = proxy.heads();
    assert!(heads.len() >= 2, "{heads:#?}");
    let wanted = format!("CONNECT {NAME}:{} HTTP/1.1\r\n", machines.port());
    assert!(heads.iter().all(|head| head.starts_with(&wanted) && head.contains(basic)), "{heads:#?}");
    let canaries = [
        Canary::new("the ticket", &token.token),
        Canary::of_bytes("the host key", &agent.key_bytes().unwrap()[36..68]),
    ];
    let heard = heads.concat();
    assert_eq!(canary::sightings(&canaries, "the proxy", heard.as_bytes()), Vec::<String>::new());
    if is_soak() {
        until("no heartbeat comes through", Duration::from_secs(60), async || {
            (installation.server.metric("muster_heartbeats_total").await >= 1.0).then_some(())
        })
        .await;
    }
    // A proxy that is restarted cuts the channel; the agent comes back through it.
    proxy.serve(Service::Refuse("502 Bad Gateway"));
    let mut server = installation;
    server.server.kill9();
    server.server.launch().await;
    until("the agent does not ask the proxy again", Duration::from_secs(20), async || {
        agent.said().contains("cannot reach muster.test").then_some(())
    })
    .await;
    proxy.serve(Service::Tunnel(machines));
    until_channels(&server, 1.0).await;
    assert!(agent.is_running());
    let doctor = agent.carry_out(&["doctor"], None).await;
    assert_eq!(doctor.code, 0, "{}", doctor.said());
    assert!(doctor.out.contains("opens the way (HTTPS_PROXY)"), "{}", doctor.out);
    assert_eq!(agent.stop().await, 0);
    let left = agent.carry_out(&["leave", "--yes"], None).await;
    assert_eq!(left.code, 0, "{}", left.said());
    let said = format!("{}{}{}", agent.said(), doctor.said(), left.said());
    let password = [Canary::new("the proxy's password", PASSWORD)];
    assert_eq!(canary::sightings(&password, "what the agent said", said.as_bytes()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_a_proxy_that_ends_tls_itself_hears_no_credential() {
    let installation = named().await;
    let interceptor = Imposter::start(
        [127, 0, 0, 1].into(),
        Manner::Tls(Face::new(NAME, None, Wrong::Nothing)),
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let proxy = ConnectProxy::start(Service::Tunnel(installation.server.machines)).await;
    let mut agent = behind(&installation, "host", &proxy);
    agent.joined(&installation.token().await.join_string).await;
    proxy.serve(Service::Tunnel(interceptor.address()));
    let ended = behind(&installation, "new", &proxy).join(&installation.token().await.join_string).await;
    assert_eq!(ended.code, 1, "{}", ended.said());
    assert!(ended.err.contains("is not the server this machine knows: nothing was sent"), "{}", ended.said());
    agent.run();
    let came = interceptor.connections();
    until("the agent does not try", Duration::from_secs(20), async || {
        (interceptor.connections() >= came + 2).then_some(())
    })
    .await;
    assert!(agent.is_running(), "{}", agent.said());
    assert_eq!(interceptor.inside(), Vec::<u8>::new(), "the interceptor could read something");
    proxy.serve(Service::Tunnel(installation.server.machines));
    until_channels(&installation, 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_refuses_is_silent_or_gone_is_told_apart_and_costs_nothing() {
    let installation = named().await;
    let token = installation.token().await;
    let proxy = ConnectProxy::start(Service::Silence).await;
    let agent = behind(&installation, "host", &proxy);
    for (service, words) in [
        (Service::Refuse("407 Proxy Authentication Required"), "wants a user and a password"),
        (Service::Refuse("502 Bad Gateway"), "cannot reach muster.test"),
        (Service::Refuse("403 Forbidden"), "does not allow connections to muster.test"),
        (Service::Silence, "took longer than 10 s"),
    ] {
        proxy.serve(service.clone());
        let ended = agent.join(&token.join_string).await;
        assert_eq!(ended.code, 3, "{service:?}: {}", ended.said());
        assert!(ended.err.contains(words), "{service:?}: {}", ended.said());
        assert!(ended.err.contains("Nothing was sent"), "{service:?}: {}", ended.said());
    }
    let mut gone = Agent::new(installation.server.folder(), "gone", "proxied-gone");
    gone.environment.push(("HTTPS_PROXY", format!("http://robot:{PASSWORD}@127.0.0.1:1")));
    let ended = gone.join(&token.join_string).await;
    assert_eq!(ended.code, 3, "{}", ended.said());
    assert!(ended.err.contains("cannot reach the proxy 127.0.0.1:1"), "{}", ended.said());
    // NO_PROXY: the name is looked up here, where nobody knows it.
    gone.environment.push(("NO_PROXY", NAME.to_owned()));
    let ended = gone.join(&token.join_string).await;
    assert!(ended.err.contains("cannot find the address of muster.test"), "{}", ended.said());
    assert_eq!(proxy.heads().len(), 4, "{:#?}", proxy.heads());
    proxy.serve(Service::Tunnel(installation.server.machines));
    agent.joined(&token.join_string).await;
}

/// Starts `muster-agent run` where names are looked up in these files alone.
fn run_with_names(agent: &Agent, hosts: &std::path::Path, resolver: &std::path::Path) -> Running {
    let inner = agent.command(&["run"]);
    let mut command = Command::new(binaries::installed("unshare"));
    // Without root, a user namespace gives the right to mount.
    command.arg(if rustix::process::geteuid().is_root() { "-m" } else { "-rm" });
    let script = "mount --bind \"$1\" /etc/hosts && mount --bind \"$2\" \"$(readlink -f /etc/resolv.conf)\" && shift 2 && \
                  exec \"$@\"";
    command.args(["sh", "-ec", script, "sh"]).arg(hosts).arg(resolver);
    command.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Running::start(command, &agent.log).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_without_a_name_service_the_agent_waits_longer_and_longer_and_comes_back() {
    let installation = named().await;
    let proxy = ConnectProxy::start(Service::Tunnel(installation.server.machines)).await;
    let mut agent = behind(&installation, "host", &proxy);
    let host: HostId = agent.joined(&installation.token().await.join_string).await;
    agent.environment.clear();
    let key = agent.key_bytes();
    let (hosts, resolver) = (agent.home.join("hosts"), agent.home.join("resolv.conf"));
    fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    // For documentation (RFC 5737): every question is lost.
    fs::write(&resolver, "nameserver 192.0.2.1\noptions timeout:1 attempts:1\n").unwrap();
    let mut running = run_with_names(&agent, &hosts, &resolver);
    until("the agent does not try again", Duration::from_secs(40), async || {
        (agent.said().matches("next_try_secs").count() >= 3).then_some(())
    })
    .await;
    assert!(running.is_running(), "{}", agent.said());
    assert!(agent.said().contains("cannot find the address of muster.test"), "{}", agent.said());
    assert_eq!(agent.key_bytes(), key);
    // An address that swallows what is sent to it stands before the one that answers.
    fs::write(&hosts, format!("192.0.2.1 {NAME}\n127.0.0.1 {NAME}\n")).unwrap();
    installation.until_presence(host, "online", Duration::from_secs(60)).await;
    running.terminate();
    assert_eq!(running.ended(Duration::from_secs(15)).await.unwrap(), 0, "{}", agent.said());
}
