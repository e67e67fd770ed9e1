//! Tickets that open nothing any more, and many machines at one ticket: nobody else waits for them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_ids::{Bearer, TicketId};
use muster_store::{Lock, LockKey, Priority, StoreError};
use serde_json::{Value, json};

use crate::world::{Answer, Backend, Machine, World, both};

fn id_of(token: &str) -> TicketId {
    TicketId::new(Bearer::parse(token).unwrap().id)
}

/// Holds the exclusive lock of a ticket in a transaction, until it is dropped.
struct Held {
    let_go: Option<Sender<()>>,
    transaction: tokio::task::JoinHandle<Result<(), StoreError>>,
}

impl Held {
    async fn new(world: &World, ticket_id: TicketId) -> Self {
        let (let_go, told): (_, Receiver<()>) = channel();
        let (has_it, locked) = tokio::sync::oneshot::channel();
        let (told, has_it) = (Mutex::new(told), Mutex::new(Some(has_it)));
        let store = world.app.store.clone();
        let transaction = tokio::spawn(async move {
            let hold = move |tx: &mut muster_store::Tx<'_>| {
                tx.lock(&[Lock::exclusive(LockKey::Ticket(ticket_id))])?;
                if let Some(has_it) = has_it.lock().unwrap().take() {
                    has_it.send(()).unwrap();
                }
                let _ = told.lock().unwrap().recv();
                Ok(())
            };
            store.write(Priority::Urgent, hold).await
        });
        locked.await.unwrap();
        Self { let_go: Some(let_go), transaction }
    }

    async fn let_go(mut self) {
        self.let_go = None;
        let _ = (&mut self.transaction).await;
    }
}

async fn within<T>(secs: u64, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(secs), work).await.expect("nobody waits for the lock")
}

async fn refusals(world: &World, token: &str) -> Vec<(String, u64)> {
    let shown = world.must("GET", &format!("/v1/tickets/{}/refusals", id_of(token)), None).await;
    let read = |item: &Value| (item["cause"].as_str().unwrap().to_owned(), item["count"].as_u64().unwrap());
    shown["items"].as_array().unwrap().iter().map(read).collect()
}

both! {
    async fn b12_a_dead_ticket_is_refused_without_its_lock(world) {
        let spent = world.enrolment_token(json!({})).await;
        let first = Machine::new("first");
        assert_eq!(first.enroll(&world, &spent).await.status, 201);
        let revoked = world.enrolment_token(json!({})).await;
        world.must("POST", &format!("/v1/tickets/{}/revoke", id_of(&revoked)), None).await;
        let expired = world.enrolment_token(json!({})).await;
        world.clock.advance(Duration::from_secs(3601));
        for (token, cause) in [(spent, "spent_by_another_key"), (revoked, "revoked"), (expired, "expired")] {
            let held = Held::new(&world, id_of(&token)).await;
            for n in 0..20 {
                let machine = Machine::new(&format!("m{n}"));
                within(2, machine.enroll(&world, &token)).await.problem(401, "enrollment_rejected");
            }
            held.let_go().await;
            assert_eq!(refusals(&world, &token).await, [(cause.to_owned(), 20)]);
        }
    }

    async fn c02_a_spent_ticket_still_answers_the_key_that_spent_it(world) {
        let token = world.enrolment_token(json!({})).await;
        let first = Machine::new("first");
        assert_eq!(first.enroll(&world, &token).await.status, 201);
        world.must("POST", &format!("/v1/tickets/{}/revoke", id_of(&token)), None).await;
        world.clock.advance(Duration::from_secs(40 * 24 * 3600));
        let again = first.enroll(&world, &token).await;
        assert_eq!((again.status, &again.body["replayed"]), (200, &json!(true)), "{again:?}");
    }
}

/// On PostgreSQL every transaction that waits for a lock holds a connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b12_a_crowd_at_one_ticket_holds_one_connection_and_one_of_it_gets_in() {
    let world = Arc::new(World::start(Backend::Postgres).await);
    let crowded = world.enrolment_token(json!({})).await;
    let free = world.enrolment_token(json!({})).await;
    let held = Held::new(&world, id_of(&crowded)).await;
    let crowd: Vec<tokio::task::JoinHandle<Answer>> = (0..40)
        .map(|n| {
            let (world, token) = (world.clone(), crowded.clone());
            tokio::spawn(async move { Machine::new(&format!("m{n}")).enroll(&world, &token).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let next_door = within(1, Machine::new("next").enroll(&world, &free)).await;
    assert_eq!(next_door.status, 201, "{next_door:?}");
    within(1, world.must("GET", "/v1/hosts", None)).await;
    held.let_go().await;
    let mut statuses = Vec::new();
    for knock in crowd {
        statuses.push(knock.await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (201, &[401; 39][..]));
}

/// Who hangs up does not let the next one in before their transaction has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b12_hanging_up_makes_no_room_at_a_ticket() {
    let world = Arc::new(World::start(Backend::Postgres).await);
    let crowded = world.enrolment_token(json!({})).await;
    let held = Held::new(&world, id_of(&crowded)).await;
    for n in 0..12 {
        let machine = Machine::new(&format!("m{n}"));
        let hasty = machine.enroll(&world, &crowded);
        assert!(tokio::time::timeout(Duration::from_millis(100), hasty).await.is_err());
    }
    let free = world.enrolment_token(json!({})).await;
    let next_door = within(1, Machine::new("next").enroll(&world, &free)).await;
    assert_eq!(next_door.status, 201, "{next_door:?}");
    held.let_go().await;
}
