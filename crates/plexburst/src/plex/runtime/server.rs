//! The one server of a worker, whichever way it is run.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::docker::Docker;
use super::{Error, Native, Process, Runtime, State, Stopped};
use crate::plex::client::Address;

/// A server in one of the ways that there are.
#[derive(Debug)]
pub enum Server {
    /// A binary on this machine.
    Native(Box<Native>),
    /// A container.
    Docker(Box<Docker>),
}

impl Server {
    /// In what it lives, in a word.
    #[must_use]
    pub fn home(&self) -> &'static str {
        match self {
            Self::Native(native) if native.is_celled() => "in a cell",
            Self::Native(_) => "as a plain process",
            Self::Docker(_) => "in a container",
        }
    }
}

impl Runtime for Server {
    async fn start(&mut self) -> Result<(), Error> {
        match self {
            Self::Native(native) => native.start().await,
            Self::Docker(docker) => docker.start().await,
        }
    }

    async fn stop(&mut self, limit: Duration) -> Result<Stopped, Error> {
        match self {
            Self::Native(native) => native.stop(limit).await,
            Self::Docker(docker) => docker.stop(limit).await,
        }
    }

    fn state(&self) -> State {
        match self {
            Self::Native(native) => native.state(),
            Self::Docker(docker) => docker.state(),
        }
    }

    fn processes(&self) -> io::Result<Vec<Process>> {
        match self {
            Self::Native(native) => native.processes(),
            Self::Docker(docker) => docker.processes(),
        }
    }

    fn address(&self) -> Address {
        match self {
            Self::Native(native) => native.address(),
            Self::Docker(docker) => docker.address(),
        }
    }

    fn data_dir(&self) -> &Path {
        match self {
            Self::Native(native) => native.data_dir(),
            Self::Docker(docker) => docker.data_dir(),
        }
    }
}
