//! Plays the steps of a scenario against a server it starts, and says what came of each.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use muster_client::OperatorClient;
use muster_ids::{HostId, KeyName};
use muster_wire::enroll::{EnrollReply, EnrollWaiting};
use muster_wire::secret::MOST_PUSHED;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{HEARTBEAT, Order};
use crate::connection::{self, Answer, Connection};
use crate::crew::Crew;
use crate::figures::{Histogram, Spread, ms, per_second};
use crate::load::{self, Ran};
use crate::machine::Machine;
use crate::machine::bearer::BearerMachine;
use crate::scenario::{Orders, Over, Step};
use crate::server::{Backend, Watched};
use crate::stage::{Door, Stage};

const CONNECT_WITHIN: Duration = Duration::from_secs(180);
const CONNECTING: usize = 128;
/// Orders of one host at a time, and of many.
const ORDERS_OF_ONE: usize = 64;
const ORDERS_OF_MANY: usize = 4;
const ARRIVE_WITHIN: Duration = Duration::from_secs(120);
const CUT_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of the secret that is pushed: with its version and digest the configuration has 300.
const SECRET_BYTES: usize = 80;

/// A scenario under way.
pub(crate) struct Play {
    pub(crate) stage: Stage,
    pub(crate) crew: Crew,
    /// Machines that joined and are not connected.
    joined: Vec<Machine>,
    made: usize,
    pushed: usize,
    slow: usize,
}

/// What a join storm came to.
pub(crate) struct Joins {
    pub(crate) ran: Ran,
}

/// What came back after the server was gone.
pub(crate) struct Comeback {
    pub(crate) histogram: Histogram,
    pub(crate) took: Duration,
    pub(crate) failures: usize,
    pub(crate) waited: usize,
}

/// How long a push took.
pub(crate) struct Pushed {
    pub(crate) machines: usize,
    /// From the first request of the operator to the last configuration that arrived.
    pub(crate) took: Duration,
    /// From the last answer to the operator to the last configuration that arrived.
    pub(crate) tail: Duration,
}

impl Play {
    pub(crate) async fn begin(program: &Path, backend: Backend) -> anyhow::Result<Self> {
        Self::over(Stage::open(program, backend).await?)
    }

    /// Begins with a server that is watched while it runs.
    pub(crate) async fn begin_watched(
        program: &Path,
        backend: Backend,
        watched: Watched,
    ) -> anyhow::Result<Self> {
        Self::over(Stage::open_watched(program, backend, watched).await?)
    }

    fn over(stage: Stage) -> anyhow::Result<Self> {
        let crew = Crew::new(stage.clock.clone());
        Ok(Self { stage, crew, joined: Vec::new(), made: 0, pushed: 0, slow: 0 })
    }

    /// How many machines joined and are not connected.
    pub(crate) fn joined(&self) -> usize {
        self.joined.len()
    }

    /// Plays one step and returns what is said of it.
    pub(crate) async fn step(&mut self, step: &Step) -> anyhow::Result<String> {
        match step {
            Step::Join { machines, in_flight } => {
                let Ran { latency, .. } = &self.join(*machines, *in_flight).await?.ran;
                Ok(format!("p50 {:.1} ms, p99 {:.1} ms", latency.p50_ms(), latency.p99_ms()))
            }
            Step::Connect { machines, over } => {
                let took = self.connect(*machines, *over).await?;
                Ok(format!("{:.0} a second", per_second(*machines, took)))
            }
            Step::Heartbeat { lasts } => {
                let rate = self.beat(self.crew.len(), *lasts).await?;
                Ok(format!("{rate:.0} heartbeats a second"))
            }
            Step::HeartbeatOverHttp { machines, lasts } => {
                let (door, requests) = self.bearer_heartbeats(*machines).await?;
                let ran = load::again(&door, &Arc::new(requests), *machines, *lasts).await?.all_wanted()?;
                Ok(format!("{:.0} heartbeats a second", ran.rate()))
            }
            Step::Idle { lasts } => {
                tokio::time::sleep(*lasts).await;
                ensure!(self.crew.connected() == self.crew.len(), "clients were disconnected while idle");
                Ok(format!("{} connected", self.crew.connected()))
            }
            Step::KillServer => {
                self.stage.server.kill9();
                self.stage.server.launch().await?;
                Ok("killed and started again".to_owned())
            }
            Step::RestartServer => {
                self.stage.server.stop().await?;
                self.stage.server.launch().await?;
                Ok("stopped and started again".to_owned())
            }
            Step::AllBack { within } => {
                let Comeback { histogram, took, failures, waited } = self.all_back(*within).await?;
                ensure!(failures == 0, "{failures} answers 5xx other than 503 with Retry-After");
                let (peak, mean) = (histogram.peak(), histogram.mean());
                let took = took.as_secs_f64();
                Ok(format!(
                    "in {took:.1} s, peak {peak} and mean {mean:.0} a second, {waited} were told to wait"
                ))
            }
            Step::PushAll { orders } => {
                let Pushed { machines, took, tail } = self.push_all(*orders).await?;
                let (took, tail) = (ms(took), ms(tail));
                Ok(format!("{machines} have it after {took:.0} ms, {tail:.1} ms after the last order"))
            }
            Step::Revoke { machines } => {
                let refused = self.revoke(*machines).await?;
                Ok(format!("refused after p50 {:.1} ms, p99 {:.1} ms", refused.p50_ms(), refused.p99_ms()))
            }
            Step::SlowReaders { machines } => self.slow_readers(*machines).await,
            Step::Clone { machines } => self.clone(*machines).await,
        }
    }

    /// Lets new machines present the site key; their requests and proofs are made before the clock runs.
    pub(crate) async fn join(&mut self, machines: usize, in_flight: usize) -> anyhow::Result<Joins> {
        let (mut arriving, ran, answers) = self.arrive(machines, in_flight).await?;
        for (machine, answer) in arriving.iter_mut().zip(answers) {
            let reply: EnrollReply = serde_json::from_slice(&answer.body)?;
            machine.host_id = Some(reply.host_id);
        }
        self.joined.append(&mut arriving);
        Ok(Joins { ran })
    }

    /// Lets the site ask a person first, and new machines come: each of them opens a claim.
    pub(crate) async fn open_claims(&mut self, machines: usize) -> anyhow::Result<()> {
        let path = format!("/v1/sites/{}/policy", self.stage.site_id);
        let policy = json!({ "policy": { "new": "approve", "require_key": false } });
        let _: Value = self.stage.owner.put(&path, &policy).await?;
        let (_, _, answers) = self.arrive(machines, CONNECTING).await?;
        for answer in answers {
            serde_json::from_slice::<EnrollWaiting>(&answer.body).context("a machine does not wait")?;
        }
        Ok(())
    }

    /// Lets new machines present the site key, and returns them with their answers.
    async fn arrive(
        &mut self,
        machines: usize,
        in_flight: usize,
    ) -> anyhow::Result<(Vec<Machine>, Ran, Vec<Answer>)> {
        let door = self.stage.door(Over::Plain)?;
        let arriving = self.new_machines(machines);
        let requests = arriving.iter().map(|machine| {
            machine.enrolment(door.url.as_str(), door.authority(), &self.stage.site_key, &self.stage.clock)
        });
        let (ran, answers) = load::once(&door, requests.collect(), in_flight).await?;
        Ok((arriving, ran.all_wanted().context("a machine was refused")?, answers))
    }

    fn new_machines(&mut self, count: usize) -> Vec<Machine> {
        let first = self.made;
        self.made += count;
        (first..self.made).map(Machine::new).collect()
    }

    /// Connects machines that joined, and more that join for it; returns how long the channels took.
    pub(crate) async fn connect(&mut self, machines: usize, over: Over) -> anyhow::Result<Duration> {
        if self.joined.len() < machines {
            self.join(machines - self.joined.len(), CONNECTING).await?;
        }
        let rest = self.joined.split_off(machines);
        let going = std::mem::replace(&mut self.joined, rest);
        let door = self.stage.door(over)?;
        let began = Instant::now();
        self.crew.connect(going, &door, CONNECTING, CONNECT_WITHIN).await?;
        Ok(began.elapsed())
    }

    /// Lets every client leave; its machine may connect again.
    pub(crate) async fn disconnect(&mut self) -> anyhow::Result<()> {
        let machines = self.crew.dismiss().await?;
        self.joined.extend(machines);
        self.crew.take_notes();
        Ok(())
    }

    /// Lets the first `clients` send heartbeats for a while; returns how many a second the server took.
    pub(crate) async fn beat(&mut self, clients: usize, lasts: Duration) -> anyhow::Result<f64> {
        let before = self.stage.server.metric("muster_heartbeats_total").await?;
        let (began, sent) = (Instant::now(), self.crew.heartbeats());
        let until = began + lasts;
        self.crew.order(clients, || Order::Beat { until }).await;
        self.crew.settled(clients).await?;
        let (sent, took) = (self.crew.heartbeats() - sent, began.elapsed());
        let taken = self.stage.server.metric("muster_heartbeats_total").await? - before;
        ensure!(taken >= sent as f64, "{sent} heartbeats were sent and {taken} arrived");
        Ok(per_second(sent, took))
    }

    /// Makes machines with agent keys join, and the request of each one's heartbeat.
    pub(crate) async fn bearer_heartbeats(
        &mut self,
        machines: usize,
    ) -> anyhow::Result<(Door, Vec<Vec<u8>>)> {
        let door = self.stage.door(Over::Plain)?;
        let first = self.made;
        self.made += machines;
        let arriving: Vec<BearerMachine> = (first..self.made).map(BearerMachine::new).collect();
        let enrolments =
            arriving.iter().map(|machine| machine.enrolment(door.authority(), &self.stage.site_key));
        let (ran, answers) = load::once(&door, enrolments.collect(), CONNECTING).await?;
        ran.all_wanted().context("not every machine was admitted")?;
        let mut requests = Vec::with_capacity(machines);
        for (machine, answer) in arriving.iter().zip(answers) {
            let reply: EnrollReply = serde_json::from_slice(&answer.body)?;
            let id = reply.agent_key_id.context("the machine has no agent key")?;
            requests.push(machine.heartbeat(door.authority(), reply.host_id, id, HEARTBEAT));
        }
        Ok((door, requests))
    }

    /// Waits until every client is connected again, and says how they came.
    pub(crate) async fn all_back(&mut self, within: Duration) -> anyhow::Result<Comeback> {
        let began = Instant::now();
        self.crew.all_connected(began + within).await?;
        let notes = self.crew.take_notes();
        // Those that were connected before the server was gone came earlier than those that came back.
        let back = notes.connected_at.len().min(self.crew.len());
        let mut moments = notes.connected_at.clone();
        moments.sort_unstable();
        let moments = &moments[moments.len() - back..];
        let waited = notes.answers.iter().filter(|((status, _), _)| *status == 503).map(|(_, n)| n).sum();
        Ok(Comeback {
            histogram: Histogram::of(moments),
            took: began.elapsed(),
            failures: notes.failures(),
            waited,
        })
    }

    /// Sets a secret of every connected host and waits until each one has it.
    pub(crate) async fn push_all(&mut self, orders: Orders) -> anyhow::Result<Pushed> {
        let hosts: Vec<HostId> = self.crew.hosts();
        let machines = self.crew.connected() - self.slow;
        self.pushed += 1;
        let document = json!({ "value": format!("{:0>SECRET_BYTES$}", self.pushed) });
        let door = self.stage.door(Over::Plain)?;
        let bearer = format!("Bearer {}", self.stage.owner_token);
        let request = |path: &str, body: &Value| {
            let headers = [("authorization", bearer.as_str())];
            connection::put(path, door.authority(), &headers, body.to_string().as_bytes())
        };
        let (requests, in_flight): (Vec<_>, usize) = match orders {
            Orders::OfOne => {
                let of = |host_id: &HostId| request(&format!("/v1/hosts/{host_id}/secrets/swarm"), &document);
                (hosts.iter().map(of).collect(), ORDERS_OF_ONE)
            }
            Orders::OfMany => {
                let of = |hosts: &[HostId]| {
                    request("/v1/secrets/swarm", &json!({ "hosts": hosts, "document": document }))
                };
                (hosts.chunks(MOST_PUSHED).map(of).collect(), ORDERS_OF_MANY)
            }
        };
        self.crew.take_notes();
        let began = Instant::now();
        let (ran, _) = load::once(&door, requests, in_flight).await?;
        ran.all_wanted().context("a secret was not set")?;
        let ordered = Instant::now();
        let until = ordered + ARRIVE_WITHIN;
        while self.crew.peek(|notes| notes.configured_at.len()) < machines {
            ensure!(Instant::now() < until, "a configuration did not arrive");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Pushed { machines, took: began.elapsed(), tail: ordered.elapsed() })
    }

    /// Revokes the keys of the hosts that connected last, one after the other: each time from the request to the
    /// answer and the closed socket, whichever comes later.
    pub(crate) async fn revoke(&mut self, machines: usize) -> anyhow::Result<Spread> {
        let hosts = self.crew.last_hosts(machines);
        ensure!(hosts.len() == machines, "{} clients are connected", hosts.len());
        let door = self.stage.door(Over::Plain)?;
        let bearer = format!("Bearer {}", self.stage.owner_token);
        let mut connection = Connection::open(&door.dialer, &door.url).await?;
        self.crew.take_notes();
        let mut answered = HashMap::new();
        for host_id in hosts {
            let key = self.key_of(&self.stage.owner, host_id).await?;
            let path = format!("/v1/hosts/{host_id}/keys/{key}/revoke");
            let request = connection::post(&path, door.authority(), &[("authorization", &bearer)], b"{}");
            let began = self.stage.clock.monotonic();
            let answer = connection.ask(&request).await?;
            ensure!(answer.status == 200, "{} {}", answer.status, String::from_utf8_lossy(&answer.body));
            answered.insert(host_id, (began, self.stage.clock.monotonic()));
        }
        self.refused(answered, machines).await
    }

    async fn refused(
        &mut self,
        answered: HashMap<HostId, (Duration, Duration)>,
        machines: usize,
    ) -> anyhow::Result<Spread> {
        let until = Instant::now() + CUT_WITHIN;
        while self.crew.peek(|notes| notes.refused.len()) < machines {
            ensure!(Instant::now() < until, "a revoked host was not cut");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let closed: HashMap<HostId, Duration> = self.crew.take_notes().disconnected_at.into_iter().collect();
        let refused = answered.iter().map(|(host_id, (began, answered))| {
            let closed = closed.get(host_id).copied().unwrap_or(*answered);
            closed.max(*answered).saturating_sub(*began)
        });
        let refused = Spread::of(refused.collect());
        self.crew.dismiss_last(machines).await?;
        Ok(refused)
    }

    async fn key_of(&self, owner: &OperatorClient, host_id: HostId) -> anyhow::Result<KeyName> {
        let host: Value = owner.get(&format!("/v1/hosts/{host_id}")).await?;
        let key = host["keys"][0].as_str().context("the host has no key")?;
        Ok(key.parse()?)
    }

    /// Lets clients stop reading, pushes until their buffers must be full, and looks whether the others notice.
    async fn slow_readers(&mut self, machines: usize) -> anyhow::Result<String> {
        ensure!(machines < self.crew.len(), "all clients would stop reading");
        self.crew.order(machines, || Order::StopReading).await;
        self.slow += machines;
        let Pushed { machines: others, took, .. } = self.push_all(Orders::OfMany).await?;
        Ok(format!("{others} others have a push after {:.0} ms", ms(took)))
    }

    /// Connects copies of connected machines: each copy is turned away, and its original stays.
    async fn clone(&mut self, machines: usize) -> anyhow::Result<String> {
        let copies = self.crew.copies(machines).await?;
        ensure!(copies.len() == machines, "{} clients are connected", copies.len());
        let mut crew = Crew::new(self.stage.clock.clone());
        let door = self.stage.door(Over::Tls)?;
        for copy in copies {
            crew.add(copy, &door)?;
        }
        let until = Instant::now() + CUT_WITHIN;
        while crew.peek(|notes| notes.refused.len()) < machines {
            ensure!(
                Instant::now() < until,
                "a copy was not turned away: {:?}",
                crew.peek(|n| n.ends.clone())
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let answers: Vec<u16> = crew.take_notes().refused.into_iter().map(|(_, code)| code).collect();
        if self.crew.connected() != self.crew.len() {
            bail!("an original was disconnected by its copy");
        }
        Ok(format!("turned away with {answers:?}, the originals stay"))
    }
}
