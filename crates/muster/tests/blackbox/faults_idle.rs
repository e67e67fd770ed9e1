//! A reverse proxy that cuts what is idle stands between server and agent (SECURITY C12).

use std::time::Duration;

use http::Method;
use muster_testkit::proxy::{Fault, Proxy};
use serde_json::json;

use crate::harness::{Agent, Backend, Installation, Server, is_soak, until};

/// As nginx (60 s), load balancers (60 s) and Cloudflare (100 s) do, only earlier.
const IDLE: Duration = Duration::from_secs(30);
const COMES_BACK_WITHIN: Duration = Duration::from_secs(60);

/// A channel that is cut between two pings comes back each time, and nobody is told that anything is amiss. Both sides
/// say something at least every 25 seconds, so that a proxy which bears 30 cuts nothing: only the longer run waits for
/// a few of these.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c12_soak_an_idle_cut_is_no_failure_and_one_after_30_seconds_never_comes() {
    let mut server = Server::prepare(Backend::Sqlite);
    let front = Proxy::start(server.machines).await.unwrap();
    server.set_public_urls(vec![format!("https://{}", front.address())]);
    server.launch().await;
    let installation = Installation::over(server).await;
    let mut agent = Agent::new(installation.server.folder(), "steady", "c12-steady");
    let host = agent.joined(&installation.token().await.join_string).await;
    let key = agent.key_bytes();
    front.fail(Fault::CutWhenIdle(Duration::from_secs(1)));
    agent.run();
    until("the channel is not cut again and again", COMES_BACK_WITHIN, async || {
        (front.idle_cuts() >= 2).then_some(())
    })
    .await;
    front.fail(Fault::CutWhenIdle(IDLE));
    // Whatever was opened before is cut soon.
    let cuts = until("the agent does not come back to stay", COMES_BACK_WITHIN, async || {
        let cuts = front.idle_cuts();
        let is_open = installation.server.metric("muster_channels").await == 1.0;
        tokio::time::sleep(Duration::from_secs(2)).await;
        (is_open && front.idle_cuts() == cuts).then_some(cuts)
    })
    .await;
    assert_eq!(agent.key_bytes(), key);
    assert_eq!(installation.hosts().await.len(), 1);
    assert!(installation.claims().await.is_empty(), "a cut was taken for a copy");
    let path = format!("/v1/events?host_id={host}&kind=host.unreachable,host.back");
    let told = installation.ask(Method::GET, &path, None).await;
    assert_eq!(told.json["items"], json!([]), "{told:?}");
    if is_soak() {
        let beats = installation.server.metric("muster_heartbeats_total").await;
        until("no heartbeats come", IDLE * 8, async || {
            assert_eq!(front.idle_cuts(), cuts, "somebody said nothing for {IDLE:?}");
            (installation.server.metric("muster_heartbeats_total").await >= beats + 5.0).then_some(())
        })
        .await;
    }
    assert!(agent.is_running(), "{}", agent.said());
}
