//! A bucket that can be listed: an S3 server on loopback that speaks as much of the protocol as a listing needs, over
//! hundreds of thousands of keys that exist as names alone.
//!
//! It is as strict as a real one about paging (a thousand keys, a token for the next) and wants a known access key;
//! bodies are made up from the key. What a store can do wrong while it is listed is a [`Fault`].

mod answer;
mod keys;
mod page;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use keys::music;

/// The access key that the server knows; signatures are not its business.
pub const ACCESS_KEY: &str = "PLEXBURSTTESTKEY0001";

/// What is in a bucket: keys with their bytes, sorted.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    name: String,
    objects: Vec<(Box<str>, u64)>,
}

impl Bucket {
    /// A bucket called `name` with these objects.
    pub fn new(name: &str, objects: impl IntoIterator<Item = (String, u64)>) -> Self {
        let mut objects: Vec<_> = objects
            .into_iter()
            .map(|(key, size)| (key.into_boxed_str(), size))
            .collect();
        objects.sort_unstable();
        objects.dedup_by(|a, b| a.0 == b.0);
        Self {
            name: name.to_owned(),
            objects,
        }
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Bytes of an object.
    #[must_use]
    pub fn size(&self, key: &str) -> Option<u64> {
        let at = self.objects.binary_search_by(|(other, _)| (**other).cmp(key)).ok()?;
        Some(self.objects[at].1)
    }
}

/// What goes wrong while the bucket is listed. Pages are counted over all listings, from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// From this page on a listing says that it is over, although it is not.
    EndsEarly(u64),
    /// From this page on there is more, but no token to ask for it with.
    NoToken(u64),
    /// From this page on the token leads to the same page again.
    SameToken(u64),
    /// From this page on the answer breaks off in the middle, whole by its length.
    HalfPage(u64),
    /// From this page on the connection is closed in the middle of the answer.
    Cut(u64),
    /// From this page on nothing but this status.
    Status(u64, u16),
    /// Listings leave out every object whose number is a multiple of this; asked for by name they are there.
    Forgets(u64),
}

/// A bucket that is being served; dropping it ends the server.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    bucket: Bucket,
    fault: std::sync::Mutex<Option<Fault>>,
    pages: AtomicU64,
}

impl Shared {
    fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Served {
    /// Serves a bucket on a free port of loopback.
    ///
    /// # Errors
    /// No port, or no thread to run in.
    pub fn start(bucket: Bucket) -> io::Result<Self> {
        Self::start_at(bucket, ([127, 0, 0, 1], 0).into())
    }

    /// The same at an address of the caller's.
    ///
    /// # Errors
    /// As [`Served::start`].
    pub fn start_at(bucket: Bucket, at: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(at)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            bucket,
            fault: std::sync::Mutex::new(None),
            pages: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let router = answer::router(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("bucket".to_owned()).spawn(move || {
            runtime.block_on(async {
                // A listener that fails shows as a server that does not answer.
                let Ok(listener) = TcpListener::from_std(listener) else {
                    return;
                };
                tokio::select! {
                    _ = axum::serve(listener, router) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Self {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this goes wrong, counted from the next page; or nothing.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.pages.store(0, Ordering::Relaxed);
        *self
            .shared
            .fault
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = fault;
    }

    /// Pages that were asked for since the start or the last [`Served::set_fault`].
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.shared.pages.load(Ordering::Relaxed)
    }

    /// An rclone.conf that knows the server as the remote `bucket:`; the bucket is a folder of it.
    #[must_use]
    pub fn rclone_conf(&self) -> String {
        format!(
            "[bucket]\ntype = s3\nprovider = Other\nlist_version = 2\nendpoint = http://{}\naccess_key_id = {ACCESS_KEY}\n\
             secret_access_key = plexburst/test/secret/of/forty/chars/001\n",
            self.address
        )
    }

    /// Waits until the server ends by itself, which it does not.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
