//! Jobs: sent once the secret is there, run at most once an attempt, ended once.

use std::pin::Pin;
use std::time::Duration;

use muster_domain::job::sent_until;
use muster_domain::presence::RECONNECT_WINDOW;
use muster_ids::JobId;
use muster_server::failure::Failure;
use muster_server::{jobs, reconcile};
use muster_store::rows::JobRow;
use muster_store::{Priority, StoreError, params};
use muster_wire::channel::{Dispatch, ServerMessage, close};
use serde_json::{Value, json};

use crate::channel::repo;
use crate::world::{Joined, Socket, World, both};

async fn create(world: &World, host: &Joined) -> Value {
    let body = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
    world.must("POST", &format!("/v1/hosts/{}/jobs", host.host_id), Some(body)).await
}

async fn job(world: &World, job: &Value) -> Value {
    world.must("GET", &format!("/v1/jobs/{}", job["id"].as_str().unwrap()), None).await
}

async fn becomes(world: &World, job: &Value, state: &str) -> Value {
    world.becomes(&format!("/v1/jobs/{}", job["id"].as_str().unwrap()), "/state", state).await
}

async fn dispatched(socket: &mut Socket) -> Dispatch {
    match socket.message().await {
        ServerMessage::JobRun { dispatch } => dispatch,
        other => panic!("no work: {other:?}"),
    }
}

/// Queues as many more jobs like this one.
async fn queued(world: &World, like: &Value, more: u128) {
    let id: JobId = like["id"].as_str().unwrap().parse().unwrap();
    let insert = world.app.store.write(Priority::Normal, move |tx| {
        let team_id = tx.platform_team_id()?.unwrap();
        let like = tx.job(team_id, id)?.unwrap();
        for n in 0..more {
            tx.job_insert(&JobRow { id: JobId::from_uuid(uuid::Uuid::from_u128(n)), ..like.clone() })?;
        }
        Ok::<_, StoreError>(())
    });
    insert.await.unwrap();
}

fn attempt(job: &Value, attempt: u32) -> Value {
    json!({ "job_id": job["id"], "attempt": attempt })
}

fn success() -> Value {
    let result = json!({ "snapshot_id": "abcd1234", "bytes_processed": 10, "bytes_added": 5, "files": 2 });
    json!({ "outcome": "succeeded", "result": result })
}

both! {
    async fn a_job_runs_from_the_queue_to_its_end(world) {
        let host = world.join("alpha", repo()).await;
        let made = create(&world, &host).await;
        assert_eq!((&made["state"], &made["attempt"]), (&json!("queued"), &json!(0)));
        let (mut socket, _) = host.connect(&world, None).await;
        let dispatch = dispatched(&mut socket).await;
        assert_eq!(dispatch.attempt.attempt, 1);
        assert_eq!((dispatch.host_id, dispatch.secret_version), (host.host_id, 1));
        socket.send(json!({ "type": "job_started", "attempt": attempt(&made, 1) })).await;
        becomes(&world, &made, "running").await;
        for percent in [10, 40, 90] {
            let progress = json!({ "percent": percent, "bytes_done": percent, "bytes_total": 100 });
            socket.send(json!({ "type": "job_progress", "attempt": attempt(&made, 1), "progress": progress })).await;
        }
        socket.send(json!({ "type": "job_log", "attempt": attempt(&made, 1), "text": "a \u{1b}[31mred\u{202e} line" })).await;
        socket.send(json!({ "type": "job_finished", "attempt": attempt(&made, 1), "end": success() })).await;
        assert!(matches!(socket.message().await, ServerMessage::JobRecorded { .. }));
        let ended = job(&world, &made).await;
        assert_eq!((&ended["state"], &ended["late"]), (&json!("succeeded"), &json!(false)));
        assert_eq!(ended["progress"]["percent"], 90);
        assert_eq!(ended["result"]["snapshot_id"], "abcd1234");
        let failed = json!({ "outcome": "failed", "failure": "no" });
        socket.send(json!({ "type": "job_finished", "attempt": attempt(&made, 1), "end": failed })).await;
        assert!(matches!(socket.message().await, ServerMessage::JobRecorded { .. }), "told again, answered again");
        assert_eq!(job(&world, &made).await, ended, "the first end counts");
        let log = world.must("GET", &format!("/v1/jobs/{}/log", made["id"].as_str().unwrap()), None).await;
        let text = log["items"][0]["text"].as_str().unwrap();
        assert!(text.contains("[31mred line") && !text.chars().any(char::is_control), "{text:?}");
        assert_eq!(world.events("job.succeeded").await.len(), 1);
    }

    async fn a_job_waits_for_the_version_of_the_secret_it_needs(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, _) = host.connect(&world, None).await;
        let path = format!("/v1/hosts/{}/secrets/repo", host.host_id);
        world.must("PUT", &path, Some(json!({ "password": "new" }))).await;
        let made = create(&world, &host).await;
        let config = socket.config().await;
        assert_eq!(socket.within(Duration::from_millis(200)).await, None, "no work before the secret is on disk");
        assert_eq!(job(&world, &made).await["state"], "queued");
        socket.apply(&config).await;
        assert_eq!(dispatched(&mut socket).await.secret_version, 2);
    }

    async fn c03_an_attempt_that_was_not_begun_is_sent_again_under_its_number(world) {
        let host = world.join("alpha", repo()).await;
        let made = create(&world, &host).await;
        let (mut socket, generation) = host.connect(&world, None).await;
        assert_eq!(dispatched(&mut socket).await.attempt.attempt, 1);
        drop(socket);
        let (mut socket, generation) = host.connect(&world, Some(generation)).await;
        assert_eq!(dispatched(&mut socket).await.attempt.attempt, 1);
        drop(socket);
        let mut socket = host.dial(&world).await;
        let next = socket.welcome(&host, &world, Some(generation)).await;
        socket.acknowledge(&next, json!([attempt(&made, 1)])).await;
        becomes(&world, &made, "running").await;
        assert_eq!(socket.within(Duration::from_millis(200)).await, None, "what runs is not sent again");
        socket.send(json!({ "type": "job_finished", "attempt": attempt(&made, 1), "end": success() })).await;
        becomes(&world, &made, "succeeded").await;
    }

    async fn c19_a_lost_job_takes_its_true_end_late(world) {
        let host = world.join("alpha", repo()).await;
        let made = create(&world, &host).await;
        let (mut socket, generation) = host.connect(&world, None).await;
        dispatched(&mut socket).await;
        socket.send(json!({ "type": "job_started", "attempt": attempt(&made, 1) })).await;
        becomes(&world, &made, "running").await;
        drop(socket);
        world.disconnected(&host).await;
        for _ in 0..2 {
            world.clock.advance(jobs::LEASE / 2);
            assert_eq!(reconcile::lapse(&world.app).await.unwrap(), 0);
        }
        world.clock.advance(jobs::LEASE / 2);
        assert_eq!(reconcile::lapse(&world.app).await.unwrap(), 1);
        let lost = becomes(&world, &made, "lost").await;
        assert!(lost["failure"].is_string());
        let (mut socket, _) = host.connect(&world, Some(generation)).await;
        socket.send(json!({ "type": "job_finished", "attempt": attempt(&made, 1), "end": success() })).await;
        let ended = becomes(&world, &made, "succeeded").await;
        assert_eq!((&ended["late"], &ended["failure"]), (&json!(true), &Value::Null));
    }

    /// Nobody could renew while the server was not there: a pause of its machine is like a restart.
    async fn c19_a_server_that_was_away_loses_no_job_before_its_agents_are_back(world) {
        let host = world.join("alpha", repo()).await;
        let made = create(&world, &host).await;
        let (mut socket, _) = host.connect(&world, None).await;
        dispatched(&mut socket).await;
        drop(socket);
        world.disconnected(&host).await;
        for _ in 0..2 {
            world.clock.advance(jobs::LEASE / 2);
            assert_eq!(reconcile::lapse(&world.app).await.unwrap(), 0);
        }
        world.clock.advance(Duration::from_secs(3600));
        assert_eq!(reconcile::lapse(&world.app).await.unwrap(), 0, "it was away");
        world.clock.advance(jobs::LEASE / 2);
        assert_eq!(reconcile::lapse(&world.app).await.unwrap(), 0);
        world.clock.advance(jobs::LEASE / 2);
        assert_eq!(reconcile::lapse(&world.app).await.unwrap(), 1);
        becomes(&world, &made, "lost").await;
    }

    async fn c08_work_reaches_a_connected_agent_after_the_clock_was_set_back_an_hour(world) {
        const HOUR: Duration = Duration::from_secs(3600);
        let host = world.join("alpha", repo()).await;
        // What the agent was told, and goes by.
        let told = world.app.clock.now();
        let (mut socket, _) = host.connect(&world, None).await;
        let soon = told.plus(Duration::from_secs(60));
        for wall in [told.minus(HOUR), told.plus(HOUR)] {
            world.clock.set_wall(wall);
            let made = create(&world, &host).await;
            let dispatch = dispatched(&mut socket).await;
            let (issued_at, expires_at) = (dispatch.issued_at.unwrap(), dispatch.expires_at);
            assert!((told..soon).contains(&issued_at), "{issued_at:?}");
            assert_eq!(expires_at, sent_until(issued_at));
            socket.send(json!({ "type": "job_finished", "attempt": attempt(&made, 1), "end": success() })).await;
            assert!(matches!(socket.message().await, ServerMessage::JobRecorded { .. }));
        }
    }

    async fn c08_a_lease_given_in_the_future_ends_ten_minutes_after_the_clock_was_set_back(world) {
        let host = world.join("alpha", repo()).await;
        let made = create(&world, &host).await;
        let (mut socket, _) = host.connect(&world, None).await;
        dispatched(&mut socket).await;
        drop(socket);
        world.disconnected(&host).await;
        for _ in 0..3 {
            world.clock.advance(jobs::LEASE / 3);
            assert_eq!(reconcile::lapse(&world.app).await.unwrap(), 0);
        }
        world.clock.set_wall(world.app.clock.now().minus(Duration::from_secs(3 * 3600)));
        for _ in 0..3 {
            assert_eq!(reconcile::lapse(&world.app).await.unwrap(), 0);
            world.clock.advance(jobs::LEASE / 3);
        }
        assert_eq!(reconcile::lapse(&world.app).await.unwrap(), 0, "its lease is not over yet");
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(reconcile::lapse(&world.app).await.unwrap(), 1);
        becomes(&world, &made, "lost").await;
    }

    /// Three reconcilers make their rounds; each reads the database in between.
    async fn c08_two_rounds_that_overtake_each_other_are_no_break(world) {
        for _ in 0..4 {
            world.clock.advance(RECONNECT_WINDOW / 2);
            world.app.all_are_back();
        }
        assert!(world.app.all_are_back());
        let there_for = world.app.there_for();
        type Round<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;
        type Begin<'a> = &'a dyn Fn() -> Round<'a>;
        let app = &world.app;
        let rounds: [Begin<'_>; 3] = [
            &|| Box::pin(async { reconcile::lapse(app).await.map(drop) }),
            &|| Box::pin(async { reconcile::retire_away(app).await.map(drop) }),
            &|| Box::pin(async { reconcile::watch(app).await }),
        ];
        for begin in rounds {
            let mut round = begin();
            // A database that answers at once lets nobody overtake.
            while futures_util::poll!(&mut round).is_ready() {
                round = begin();
            }
            world.clock.advance(Duration::from_secs(1));
            assert!(app.all_are_back(), "another one overtakes it");
            round.await.unwrap();
            assert!(app.all_are_back(), "nobody was away");
        }
        assert_eq!(world.app.there_for(), there_for + Duration::from_secs(3));
    }

    async fn b04_a_job_of_another_host_is_out_of_reach(world) {
        let host = world.join("alpha", repo()).await;
        let other = world.join("beta", repo()).await;
        let made = create(&world, &host).await;
        let (mut socket, _) = host.connect(&world, None).await;
        dispatched(&mut socket).await;
        let before = job(&world, &made).await;
        let attack = attempt(&made, 1);
        let messages = [
            json!({ "type": "job_started", "attempt": attack }),
            json!({ "type": "job_log", "attempt": attack, "text": "x" }),
            json!({ "type": "job_progress", "attempt": attack,
                    "progress": { "percent": 1, "bytes_done": 1, "bytes_total": 1 } }),
            json!({ "type": "job_finished", "attempt": attack, "end": success() }),
        ];
        let mut generation = None;
        for message in messages {
            let (mut foreign, next) = other.connect(&world, generation).await;
            generation = Some(next);
            foreign.send(message).await;
            foreign.closes_with(close::POLICY).await;
        }
        assert_eq!(job(&world, &made).await, before);
        world.audited_times("channel.violation", 4).await;
        // An attempt of one's own that was never sent is no better.
        socket.send(json!({ "type": "job_finished", "attempt": attempt(&made, 2), "end": success() })).await;
        socket.closes_with(close::POLICY).await;
    }

    async fn after_the_host_is_retired_its_jobs_are_over(world) {
        let host = world.join("alpha", repo()).await;
        let (first, second) = (create(&world, &host).await, create(&world, &host).await);
        let (mut socket, _) = host.connect(&world, None).await;
        dispatched(&mut socket).await;
        dispatched(&mut socket).await;
        socket.send(json!({ "type": "job_finished", "attempt": attempt(&first, 1), "end": success() })).await;
        becomes(&world, &first, "succeeded").await;
        assert_eq!(world.retire(&host).await.status, 200);
        socket.send(json!({ "type": "job_finished", "attempt": attempt(&second, 1), "end": success() })).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(job(&world, &second).await["state"], "lost");
        let body = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
        let path = format!("/v1/hosts/{}/jobs", host.host_id);
        world.admin("POST", &path, Some(body)).await.problem(409, "host_not_active");
    }

    async fn a_bad_job_is_refused_with_a_pointer(world) {
        let host = world.join("alpha", repo()).await;
        let path = format!("/v1/hosts/{}/jobs", host.host_id);
        let post = async |body| world.admin("POST", &path, Some(body)).await;
        let empty = post(json!({ "work": { "kind": "backup", "paths": [] } })).await;
        assert_eq!((empty.status, &empty.body["errors"][0]["code"]), (422, &json!("empty")));
        let unknown = json!({ "work": { "kind": "backup", "paths": ["/etc"], "secret": "other" } });
        post(unknown).await.invalid("/work/secret", "unknown_secret");
        assert_eq!(post(json!({ "work": { "kind": "command", "paths": ["/etc"] } })).await.status, 422);
        assert_eq!(post(json!({ "work": { "kind": "backup", "paths": ["etc"] } })).await.status, 422);
        let body = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
        let nowhere = "/v1/hosts/host_0190c0de00007000800000000000c0de/jobs";
        world.admin("POST", nowhere, Some(body)).await.problem(404, "not_found");
        world.admin("GET", "/v1/jobs/job_0190c0de00007000800000000000c0de", None).await.problem(404, "not_found");
        world.admin("GET", "/v1/jobs/job_0190c0de00007000800000000000c0de/log", None).await.problem(404, "not_found");
    }

    async fn jobs_are_listed_newest_first_and_by_state(world) {
        let host = world.join("alpha", repo()).await;
        let mut made = Vec::new();
        for _ in 0..3 {
            made.push(create(&world, &host).await["id"].clone());
            world.clock.advance(Duration::from_millis(5));
        }
        let first = world.must("GET", "/v1/jobs?limit=2&state=queued", None).await;
        assert_eq!((&first["items"][0]["id"], &first["items"][1]["id"]), (&made[2], &made[1]));
        let cursor = first["next_cursor"].as_str().unwrap();
        let path = format!("/v1/jobs?limit=2&state=queued&cursor={cursor}&host_id={}", host.host_id);
        let rest = world.must("GET", &path, None).await;
        assert_eq!((&rest["items"][0]["id"], rest["items"].as_array().unwrap().len()), (&made[0], 1));
        let none = world.must("GET", "/v1/jobs?state=running", None).await;
        assert!(none["items"].as_array().unwrap().is_empty());
    }

    async fn a_log_is_bounded_and_says_where_it_was_cut(world) {
        let host = world.join("alpha", repo()).await;
        let made = create(&world, &host).await;
        let (mut socket, _) = host.connect(&world, None).await;
        dispatched(&mut socket).await;
        socket.send(json!({ "type": "job_started", "attempt": attempt(&made, 1) })).await;
        let line = "x".repeat(4096);
        for _ in 0..300 {
            socket.send(json!({ "type": "job_log", "attempt": attempt(&made, 1), "text": line })).await;
        }
        socket.send(json!({ "type": "job_finished", "attempt": attempt(&made, 1), "end": success() })).await;
        becomes(&world, &made, "succeeded").await;
        let path = format!("/v1/jobs/{}/log", made["id"].as_str().unwrap());
        let tail = world.must("GET", &format!("{path}?after=255"), None).await;
        let tail = tail["items"].as_array().unwrap();
        assert_eq!(tail.len(), 2, "256 lines of 4 KiB and the one that says so");
        assert!(tail[1]["text"].as_str().unwrap().starts_with("the log was cut here"));
        let page = world.must("GET", &format!("{path}?limit=200"), None).await;
        let cursor = page["next_cursor"].as_str().unwrap();
        let rest = world.must("GET", &format!("{path}?limit=200&cursor={cursor}"), None).await;
        assert_eq!(rest["items"][0]["n"], 201);
    }

    async fn the_end_of_a_job_nobody_knows_is_answered_and_audited(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, _) = host.connect(&world, None).await;
        let unknown = json!({ "job_id": "job_0190c0de00007000800000000000c0de", "attempt": 1 });
        socket.send(json!({ "type": "job_started", "attempt": unknown })).await;
        socket.send(json!({ "type": "job_log", "attempt": unknown, "text": "x" })).await;
        socket.send(json!({ "type": "job_finished", "attempt": unknown, "end": success() })).await;
        let ServerMessage::JobRecorded { attempt } = socket.message().await else { panic!("not answered") };
        assert_eq!(serde_json::to_value(attempt).unwrap(), unknown);
        let told = world.audited_times("job.unknown", 1).await;
        assert_eq!((&told[0]["target"], &told[0]["actor"]), (&unknown["job_id"], &json!(host.key_name())));
        socket.heartbeat().await;
        assert_eq!(socket.within(Duration::from_millis(100)).await, None, "the channel stays");
        for _ in 0..40 {
            socket.send(json!({ "type": "job_finished", "attempt": unknown, "end": success() })).await;
            assert!(matches!(socket.message().await, ServerMessage::JobRecorded { .. }));
        }
        assert_eq!(world.audited("job.unknown").await.len(), 30, "one host cannot fill the trail");
    }

    async fn a_host_has_at_most_a_hundred_open_jobs_however_many_ask_at_once(world) {
        let host = world.join("alpha", repo()).await;
        queued(&world, &create(&world, &host).await, 97).await;
        let path = format!("/v1/hosts/{}/jobs", host.host_id);
        let ask = || world.admin("POST", &path, Some(json!({ "work": { "kind": "backup", "paths": ["/etc"] } })));
        let answers = futures_util::future::join_all((0..8).map(|_| ask())).await;
        let mut made: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        made.sort_unstable();
        assert_eq!(made, [201, 201, 409, 409, 409, 409, 409, 409]);
    }

    async fn retiring_ends_every_open_job_however_many_there_are(world) {
        let host = world.join("alpha", repo()).await;
        queued(&world, &create(&world, &host).await, 250).await;
        assert_eq!(world.retire(&host).await.status, 200);
        let id = host.host_id;
        let open = world.app.look(move |tx| tx.jobs_open(id, 1000)).await.unwrap();
        assert_eq!(open.len(), 0);
        assert_eq!(world.events("job.cancelled").await.len(), 251);
    }

    async fn one_bad_job_keeps_no_other_from_being_lost(world) {
        let host = world.join("alpha", repo()).await;
        let (bad, good) = (create(&world, &host).await, create(&world, &host).await);
        let (mut socket, _) = host.connect(&world, None).await;
        dispatched(&mut socket).await;
        dispatched(&mut socket).await;
        drop(socket);
        world.disconnected(&host).await;
        let id: JobId = bad["id"].as_str().unwrap().parse().unwrap();
        let spoil = world.app.store.write(Priority::Normal, move |tx| {
            tx.execute("UPDATE job SET work = 'spoilt', renewed_at = 1 WHERE id = $1", params![id])
        });
        assert_eq!(spoil.await.map_err(|error: StoreError| error.to_string()), Ok(1));
        world.clock.advance(jobs::LEASE * 2);
        assert!(reconcile::lapse(&world.app).await.is_err(), "the bad one is not forgotten");
        assert_eq!(job(&world, &good).await["state"], "lost");
    }
}
