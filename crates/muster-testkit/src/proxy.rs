//! A TCP proxy that fails on purpose, between a machine and a server.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const CHUNK: usize = 16 * 1024;

/// What the proxy does to connections that are opened from now on.
///
/// A *turn* of the client is what it sends between two answers: over plain HTTP the request is its first turn, over
/// TLS 1.3 its second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: all bytes pass.
    None,
    /// Closes what is accepted, at once.
    Refuse,
    /// Forwards requests; nothing comes back from that turn of the client on, until [`Proxy::cut`].
    HoldReplies {
        /// The first turn without an answer.
        from_turn: u32,
    },
    /// Cuts both sides when the server begins to answer that turn of the client.
    CutBeforeReply {
        /// The turn.
        from_turn: u32,
    },
    /// Cuts both sides after so many bytes of the server.
    CutReplyAfter {
        /// How many bytes still pass.
        bytes: usize,
    },
    /// Cuts both sides after so many bytes of the client.
    CutRequestAfter {
        /// How many bytes still pass.
        bytes: usize,
    },
    /// Each piece arrives later.
    Delay(Duration),
    /// What the client sends is sent on a second connection too, whose answers are dropped.
    Duplicate,
    /// Cuts both sides once one of them said nothing for so long, as reverse proxies do.
    CutWhenIdle(Duration),
    /// Forwards nothing: every request head is answered with these bytes and the connection is closed.
    Answer(Vec<u8>),
}

/// A listening proxy; it ends with this value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    cuts: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    accepted: u64,
    idle_cuts: u64,
}

impl Proxy {
    /// Starts a proxy that forwards to `upstream`, which need not listen yet.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(crate::ports::free()).await.context("bind the proxy")?;
        let address = listener.local_addr()?;
        let state = Mutex::new(State { fault: Fault::None, accepted: 0, idle_cuts: 0 });
        let shared = Arc::new(Shared { upstream, state, cuts: watch::Sender::new(0) });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Fails this way from the next connection on.
    pub fn fail(&self, fault: Fault) {
        self.shared.state().fault = fault;
    }

    /// Cuts every open connection.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Returns how many connections were cut because one side said nothing.
    pub fn idle_cuts(&self) -> u64 {
        self.shared.state().idle_cuts
    }

    /// Returns how many connections were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.state().accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let fault = {
            let mut state = shared.state();
            state.accepted += 1;
            state.fault.clone()
        };
        let mut cuts = shared.cuts.subscribe();
        let upstream = shared.upstream;
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            tokio::select! {
                // A broken connection is what this proxy is for.
                carried = carry(client, upstream, fault) => {
                    if carried.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                        shared.state().idle_cuts += 1;
                    }
                }
                _ = cuts.changed() => {}
            }
        });
    }
}

async fn carry(client: TcpStream, upstream: SocketAddr, fault: Fault) -> io::Result<()> {
    match fault {
        Fault::Refuse => Ok(()),
        Fault::Answer(answer) => answer_all(client, &answer).await,
        fault => {
            let server = TcpStream::connect(upstream).await?;
            let copy = match fault {
                Fault::Duplicate => Some(TcpStream::connect(upstream).await?),
                _ => None,
            };
            Passage {
                client,
                server,
                copy,
                fault,
                turn: 0,
                client_spoke_last: false,
                requested: 0,
                replied: 0,
                heard: [Instant::now(); 2],
            }
            .run()
            .await
        }
    }
}

/// One connection on its way through.
struct Passage {
    client: TcpStream,
    server: TcpStream,
    copy: Option<TcpStream>,
    fault: Fault,
    turn: u32,
    client_spoke_last: bool,
    requested: usize,
    replied: usize,
    /// When the client and the server last said something.
    heard: [Instant; 2],
}

impl Passage {
    async fn run(mut self) -> io::Result<()> {
        let (mut request, mut reply) = (vec![0; CHUNK], vec![0; CHUNK]);
        let (mut client_sends, mut server_sends) = (true, true);
        while client_sends || server_sends {
            let idle = self.idle();
            tokio::select! {
                () = idle => return Err(io::ErrorKind::TimedOut.into()),
                read = self.client.read(&mut request), if client_sends => match read? {
                    0 => {
                        client_sends = false;
                        self.server.shutdown().await?;
                    }
                    length => {
                        if !self.request(&request[..length]).await? {
                            return Ok(());
                        }
                    }
                },
                read = self.server.read(&mut reply), if server_sends => match read? {
                    0 => {
                        server_sends = false;
                        self.client.shutdown().await?;
                    }
                    length => {
                        if !self.reply(&reply[..length]).await? {
                            return Ok(());
                        }
                    }
                },
            }
        }
        Ok(())
    }

    /// Ends once one side said nothing for as long as this proxy bears it.
    fn idle(&self) -> impl Future<Output = ()> + use<> {
        let cut_at = match self.fault {
            Fault::CutWhenIdle(within) => self.heard.into_iter().min().map(|at| at + within),
            _ => None,
        };
        async move {
            match cut_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Passes a piece of the client on. `false`: cut now.
    async fn request(&mut self, mut piece: &[u8]) -> io::Result<bool> {
        self.heard[0] = Instant::now();
        if !self.client_spoke_last {
            self.client_spoke_last = true;
            self.turn += 1;
        }
        let mut goes_on = true;
        if let Fault::CutRequestAfter { bytes } = self.fault {
            piece = &piece[..piece.len().min(bytes - self.requested.min(bytes))];
            self.requested += piece.len();
            goes_on = self.requested < bytes;
        }
        self.delay().await;
        self.server.write_all(piece).await?;
        if let Some(copy) = &mut self.copy {
            copy.write_all(piece).await?;
        }
        Ok(goes_on)
    }

    /// Passes a piece of the server on. `false`: cut now.
    async fn reply(&mut self, mut piece: &[u8]) -> io::Result<bool> {
        self.heard[1] = Instant::now();
        let mut goes_on = true;
        match self.fault {
            // Held from the first unanswered turn on: the client keeps waiting, and stays where it is.
            Fault::HoldReplies { from_turn } if self.turn >= from_turn => return Ok(true),
            Fault::CutBeforeReply { from_turn } if self.turn >= from_turn => return Ok(false),
            Fault::CutReplyAfter { bytes } => {
                piece = &piece[..piece.len().min(bytes - self.replied.min(bytes))];
                self.replied += piece.len();
                goes_on = self.replied < bytes;
            }
            _ => {}
        }
        self.client_spoke_last = false;
        self.delay().await;
        self.client.write_all(piece).await?;
        Ok(goes_on)
    }

    async fn delay(&self) {
        if let Fault::Delay(span) = self.fault {
            tokio::time::sleep(span).await;
        }
    }
}

async fn answer_all(mut client: TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        match client.read(&mut chunk).await? {
            0 => return Ok(()),
            length => head.extend_from_slice(&chunk[..length]),
        }
    }
    client.write_all(answer).await?;
    client.shutdown().await?;
    // A body that nobody read would reset the connection before the answer arrives.
    let drain = async { while client.read(&mut chunk).await.is_ok_and(|length| length > 0) {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), drain).await;
    Ok(())
}
