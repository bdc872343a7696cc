//! A public address: SSH comes through it when the security group lets it.
//!
//! What is dropped is not answered: the connection opens, because the kernel of this machine opens it, and stays silent.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::scaleway::api::http::{Shared, lock};

/// How long a connection that was dropped stays open: longer than anybody waits.
const SILENCE: Duration = Duration::from_secs(600);

/// An address that is open until this is dropped.
#[derive(Debug)]
pub(super) struct Gate(AbortHandle);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens `address` at `port`; the machine it leads to is looked up for each connection.
pub(super) fn open(sim: &Shared, runtime: &Handle, address: Ipv4Addr, port: u16) -> io::Result<Gate> {
    let listener = std::net::TcpListener::bind((address, port))?;
    listener.set_nonblocking(true)?;
    let _entered = runtime.enter();
    let listener = TcpListener::from_std(listener)?;
    let sim = sim.clone();
    let serving = runtime.spawn(async move {
        // Each connection ends with the gate, as those of a machine that is gone do.
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((stream, peer)) = accepted {
                        connections.spawn(carry(sim.clone(), stream, peer, address, port));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
    Ok(Gate(serving.abort_handle()))
}

async fn carry(sim: Shared, mut stream: TcpStream, peer: SocketAddr, address: Ipv4Addr, port: u16) {
    let (inside, from, mut moved) = {
        let sim = lock(&sim);
        let world = &sim.world;
        let mut moved = world.callers.subscribe();
        let from = moved.borrow_and_update().map_or(peer.ip(), IpAddr::V4);
        let inside = match world.foreign.get(&address) {
            // Whoever has the address now has no group of ours.
            Some(foreign) => *foreign,
            None => world.server_at(address).and_then(|server| {
                let group = world.groups.get(&server.group);
                server
                    .inside
                    .filter(|_| group.is_none_or(|group| group.lets_in(from, port)))
            }),
        };
        (inside, from, moved)
    };
    let carried = async {
        match inside {
            None => tokio::time::sleep(SILENCE).await,
            Some(inside) => {
                // Not up yet, or just gone: the connection ends, as a refused one does.
                if let Ok(mut machine) = connect(from, inside).await {
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut machine).await;
                }
            }
        }
    };
    tokio::select! {
        () = carried => {}
        // Whoever was connected comes from elsewhere now: what is under way arrives nowhere.
        _ = moved.changed() => {}
    }
}

/// The machine sees where its callers come from.
async fn connect(from: IpAddr, inside: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket
        .connect(SocketAddr::from((inside, super::machine::SSH_PORT)))
        .await
}
