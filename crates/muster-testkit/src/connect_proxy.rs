//! A proxy that is asked to `CONNECT` (RFC 9110, section 9.3.6): an honest one, and some that are not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{self, AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// What the proxy does for connections that are opened from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// Opens the way to this address, whatever was asked for.
    Tunnel(SocketAddr),
    /// Refuses with this status line, such as `407 Proxy Authentication Required`.
    Refuse(&'static str),
    /// Takes the request and never answers.
    Silence,
    /// Opens the way only for who brings this `Proxy-Authorization`.
    TunnelFor(&'static str, SocketAddr),
}

/// A listening proxy; it ends with this value.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    service: Service,
    heads: Vec<String>,
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ConnectProxy {
    /// Starts a proxy.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(service: Service) -> Self {
        let listener = TcpListener::bind(crate::ports::free()).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Mutex::new(Shared { service, heads: Vec::new() }));
        let served = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                // A client that hangs up, or a server that is not there, is no failure of the test.
                tokio::spawn(async move { serve(client, &shared).await });
            }
        });
        Self { address, shared, task: task.abort_handle() }
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this from the next connection on.
    pub fn serve(&self, service: Service) {
        state(&self.shared).service = service;
    }

    /// Returns the heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        state(&self.shared).heads.clone()
    }
}

fn state(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut client: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let service = {
        let mut shared = state(shared);
        shared.heads.push(head.clone());
        shared.service.clone()
    };
    let refuse =
        |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let upstream = match service {
        Service::Tunnel(upstream) => upstream,
        Service::TunnelFor(credentials, upstream) if head.contains(credentials) => upstream,
        Service::TunnelFor(..) => {
            return client.write_all(refuse("407 Proxy Authentication Required").as_bytes()).await;
        }
        Service::Refuse(status) => return client.write_all(refuse(status).as_bytes()).await,
        Service::Silence => {
            // Until the client gives up.
            return client.read(&mut [0; 1]).await.map(drop);
        }
    };
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        return client.write_all(refuse("502 Bad Gateway").as_bytes()).await;
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
