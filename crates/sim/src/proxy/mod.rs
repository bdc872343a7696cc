//! A fault proxy for HTTP stores: stands between rclone and a real `rclone serve s3` and does to the answers what bad days
//! do to a bucket's.
//!
//! One [`Fault`] is in force at a time and can be changed at any moment; requests that hang in the old one are let go.
//! Requests are passed on byte for byte, so that signatures stay valid; answers are those of the real server unless the
//! fault says otherwise. Must not: be kinder than a store, or keep a connection for longer than one request.

mod fault;
mod message;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use fault::Dice;
pub use fault::Fault;
use message::{Answer, Kind, Request};

/// A proxy at work; dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

/// What went through.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    spoilt: AtomicU64,
}

impl Proxy {
    /// Listens on a free port of the loopback and passes everything on to `upstream`. `seed` makes its dice.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (fault, watched) = watch::channel(Fault::None);
        let counts = Arc::<Counts>::default();
        let inner = Passing {
            upstream,
            fault: watched,
            counts: counts.clone(),
            dice: Arc::new(Dice::new(seed)),
        };
        let task = tokio::spawn(accept(listener, inner));
        Ok(Self {
            address,
            fault,
            counts,
            task,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts another fault in force, also for what hangs in the one before.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// Requests that a fault has met so far.
    #[must_use]
    pub fn spoilt(&self) -> u64 {
        self.counts.spoilt.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What every connection needs.
#[derive(Debug, Clone)]
struct Passing {
    upstream: SocketAddr,
    fault: watch::Receiver<Fault>,
    counts: Arc<Counts>,
    dice: Arc<Dice>,
}

async fn accept(listener: TcpListener, passing: Passing) {
    // The connections end with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                let mut passing = passing.clone();
                connections.spawn(async move {
                    // A connection that breaks is the client's business: it has asked for bad days.
                    let _ = passing.serve(client).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Passing {
    async fn serve(&mut self, mut client: TcpStream) -> io::Result<()> {
        let Some(request) = Request::read(&mut client).await? else {
            return Ok(());
        };
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        let fault = *self.fault.borrow_and_update();
        let kind = request.kind();
        match fault {
            Fault::None => self.pass(&request, &mut client).await,
            Fault::Status(status) => {
                self.spoil();
                client.write_all(&message::refusal(status)).await
            }
            Fault::Silent => {
                self.spoil();
                self.hang(&mut client).await
            }
            Fault::Closed => {
                self.spoil();
                Ok(())
            }
            Fault::HalfListing if kind == Kind::Listing => {
                self.spoil();
                let mut answer = self.ask(&request).await?;
                answer.halve();
                client.write_all(&answer.bytes()).await
            }
            Fault::NoBodies { hang } if kind == Kind::Object => {
                self.spoil();
                let answer = self.ask(&request).await?;
                client.write_all(&answer.head()).await?;
                if hang { self.hang(&mut client).await } else { Ok(()) }
            }
            Fault::HalfListing | Fault::NoBodies { .. } => self.pass(&request, &mut client).await,
            Fault::Slow { from, to, errors } => {
                let latency = self.dice.between(from, to);
                if self.dice.strikes(errors) {
                    self.spoil();
                    self.wait(latency, &mut client).await;
                    return client.write_all(&message::refusal(500)).await;
                }
                self.wait(latency, &mut client).await;
                self.pass(&request, &mut client).await
            }
        }
    }

    fn spoil(&self) {
        self.counts.spoilt.fetch_add(1, Ordering::Relaxed);
    }

    /// The real server's whole answer.
    async fn ask(&self, request: &Request) -> io::Result<Answer> {
        let mut server = TcpStream::connect(self.upstream).await?;
        server.write_all(&request.bytes()).await?;
        let mut bytes = Vec::new();
        server.read_to_end(&mut bytes).await?;
        Answer::parse(bytes)
    }

    async fn pass(&self, request: &Request, client: &mut TcpStream) -> io::Result<()> {
        let mut server = TcpStream::connect(self.upstream).await?;
        server.write_all(&request.bytes()).await?;
        tokio::io::copy(&mut server, client).await?;
        client.shutdown().await
    }

    /// Says nothing until another fault is in force or the client has gone.
    async fn hang(&mut self, client: &mut TcpStream) -> io::Result<()> {
        let mut byte = [0];
        tokio::select! {
            _ = self.fault.changed() => Ok(()),
            read = client.read(&mut byte) => read.map(drop),
        }
    }

    /// Lets time pass, unless another fault is put in force.
    async fn wait(&mut self, latency: Duration, client: &mut TcpStream) {
        let mut byte = [0];
        tokio::select! {
            () = tokio::time::sleep(latency) => {}
            _ = self.fault.changed() => {}
            _ = client.read(&mut byte) => {}
        }
    }
}
