//! How a worker's server is run, settled where the worker is: as a binary, or in a container.

use std::path::{Path, PathBuf};

use crate::config::RuntimeMode;
use crate::plex::runtime::docker::{Engine, default_socket};

/// The way that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A binary on this machine.
    Native,
    /// A container.
    Docker,
}

/// What `mode` comes to on this machine: with nothing said, the binary where there is one, else Docker where its engine
/// answers.
pub async fn settle(mode: RuntimeMode, server: &Path, socket: &Path) -> Way {
    match mode {
        RuntimeMode::Native => Way::Native,
        RuntimeMode::Docker => Way::Docker,
        RuntimeMode::Auto if server.is_file() => Way::Native,
        RuntimeMode::Auto if Engine::connect(socket).await.is_ok() => Way::Docker,
        // Whose absence is then said.
        RuntimeMode::Auto => Way::Native,
    }
}

/// The engine's socket.
#[must_use]
pub fn socket(named: Option<&Path>) -> PathBuf {
    named.map_or_else(default_socket, Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_binary_goes_first_and_an_engine_has_to_answer() {
        let dir = tempfile::tempdir().unwrap();
        let (server, none) = (dir.path().join("Plex Media Server"), dir.path().join("docker.sock"));
        let settled = async |mode| settle(mode, &server, &none).await;
        assert_eq!(settled(RuntimeMode::Auto).await, Way::Native);
        assert_eq!(settled(RuntimeMode::Docker).await, Way::Docker);
        std::fs::write(&server, "").unwrap();
        assert_eq!(settled(RuntimeMode::Auto).await, Way::Native);
        assert_eq!(socket(Some(&none)), none);
    }
}
