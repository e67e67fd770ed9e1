//! The stream of events: nothing left out, nothing twice, in order.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::events::scene::host;
use crate::world::{World, both};

/// An event as the stream tells it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) id: u64,
    pub(crate) event: String,
    pub(crate) data: Value,
}

/// A client of server-sent events.
pub(crate) struct Sse {
    stream: BufReader<TcpStream>,
    pub(crate) head: String,
    text: String,
    /// Lines that begin with a colon, and `retry:` lines.
    pub(crate) asides: Vec<String>,
}

impl Sse {
    pub(crate) async fn open(world: &World, token: &str, query: &str, last: Option<u64>) -> Self {
        let last = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let head = format!(
            "GET /v1/events/stream{query} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n{last}\r\n"
        );
        let mut stream = BufReader::new(TcpStream::connect(world.address).await.unwrap());
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).await.unwrap() > 0, "{head}");
        }
        Self { stream, head, text: String::new(), asides: Vec::new() }
    }

    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The next event; `None`: the stream ended.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        tokio::time::timeout(Duration::from_secs(20), self.read()).await.expect("the stream goes on")
    }

    async fn read(&mut self) -> Option<Told> {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                match parse(&frame) {
                    Some(told) => return Some(told),
                    None => self.asides.push(frame),
                }
            }
            let mut size = String::new();
            if self.stream.read_line(&mut size).await.unwrap_or(0) == 0 {
                return None;
            }
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            if size == 0 {
                return None;
            }
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).await.ok()?;
            self.text.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
        }
    }
}

fn parse(frame: &str) -> Option<Told> {
    let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Some(Told {
        id: field("id")?.parse().unwrap(),
        event: field("event").unwrap().to_owned(),
        data: serde_json::from_str(field("data").unwrap()).unwrap(),
    })
}

both! {
    async fn nothing_is_left_out_or_told_twice_while_events_are_written(world) {
        const EVENTS: usize = 300;
        let team = world.own_team().await;
        let foreign = world.team("other").await;
        let shutdown = tokio_util::sync::CancellationToken::new();
        let tasks = muster_server::reconcile::spawn_all(&world.app, &shutdown);
        let world = std::sync::Arc::new(world);
        let mut stream = Sse::open(&world, &world.admin, "?kind=host.back", Some(0)).await;
        let mut writers = Vec::new();
        for writer in 0..4 {
            let world = std::sync::Arc::clone(&world);
            writers.push(tokio::spawn(async move {
                for n in 0..EVENTS / 4 {
                    world.tell(team, Some(host(writer)), &format!("{writer} {n:03}")).await;
                    world.tell(foreign.id, Some(host(writer)), "foreign").await;
                }
            }));
        }
        let (mut told, mut last): (Vec<String>, u64) = (Vec::new(), 0);
        while told.len() < EVENTS {
            // The connection breaks now and then; the client goes on where it was.
            if told.len() % 70 == 69 {
                stream = Sse::open(&world, &world.admin, "?kind=host.back", Some(last)).await;
            }
            let event = stream.next().await.unwrap();
            assert!(event.id > last, "{} after {last}", event.id);
            last = event.id;
            told.push(event.data["subject"].as_str().unwrap().to_owned());
        }
        for writer in writers {
            writer.await.unwrap();
        }
        shutdown.cancel();
        for task in tasks {
            task.await.unwrap();
        }
        let page = |line: u128| told.iter().filter(move |subject| subject.starts_with(&format!("{line} "))).cloned();
        for writer in 0..4 {
            let expected: Vec<_> = (0..EVENTS / 4).map(|n| format!("{writer} {n:03}")).collect();
            assert_eq!(page(writer).collect::<Vec<_>>(), expected);
        }
        assert_eq!(told.len(), EVENTS);
    }

    async fn a_stream_begins_now_unless_it_is_told_where(world) {
        let team = world.own_team().await;
        world.tell(team, Some(host(1)), "before").await;
        world.seal().await;
        let mut now = Sse::open(&world, &world.admin, "?kind=host.back", None).await;
        assert_eq!(now.status(), 200);
        assert!(now.head.to_lowercase().contains("content-type: text/event-stream"), "{}", now.head);
        let mut before = Sse::open(&world, &world.admin, "?kind=host.back&after=0", None).await;
        assert_eq!(before.next().await.unwrap().data["subject"], "before");
        world.tell(team, Some(host(2)), "after").await;
        world.seal().await;
        let told = now.next().await.unwrap();
        assert_eq!((told.event.as_str(), told.data["subject"].as_str()), ("host.back", Some("after")));
        assert_eq!(told.data["position"], told.id);
        assert_eq!(before.next().await.unwrap().data["subject"], "after");
        assert_eq!(now.asides, ["retry: 2000"]);
    }

    async fn filters_pass_what_they_name(world) {
        let team = world.own_team().await;
        let query = format!("?after=0&kind=host.back,claim.opened&host_id={}", host(1));
        let mut of_host = Sse::open(&world, &world.admin, &query, None).await;
        let mut about = Sse::open(&world, &world.admin, "?after=0&subject=two", None).await;
        world.tell(team, Some(host(2)), "one").await;
        world.tell(team, Some(host(1)), "two").await;
        world.seal().await;
        assert_eq!(of_host.next().await.unwrap().data["subject"], "two");
        assert_eq!(about.next().await.unwrap().data["subject"], "two");
        let headers = format!("authorization: Bearer {}\r\n", world.admin);
        for query in ["?kind=nothing", "?after=x", "?since=1", "?after=-1"] {
            let refused = world.ask("GET", &format!("/v1/events/stream{query}"), &headers, None).await;
            assert_eq!(refused.status, 400, "{query}");
        }
        for id in ["x", "-1", "1 2", "99999999999999999999"] {
            let headers = format!("{headers}last-event-id: {id}\r\n");
            world.ask("GET", "/v1/events/stream", &headers, None).await.problem(400, "invalid_last_event_id");
        }
    }
}
