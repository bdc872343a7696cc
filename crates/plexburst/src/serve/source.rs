//! Where the page has what it shows: this machine, or the one that home is on.

use std::sync::Arc;

use super::afar::Afar;
use super::view::{Found, Live, Past, View};
use crate::error::Result;

/// Either of them.
#[derive(Debug)]
pub(super) enum Source {
    Here(Box<View>),
    Afar(Box<Afar>),
}

impl Source {
    /// The machine, if it is another one.
    pub(super) fn host(&self) -> Option<&str> {
        match self {
            Self::Here(_) => None,
            Self::Afar(afar) => Some(afar.name()),
        }
    }

    pub(super) async fn live(&self) -> Arc<Live> {
        match self {
            Self::Here(view) => view.live().await,
            Self::Afar(afar) => Arc::new(afar.live().await),
        }
    }

    /// The bursts, newest first.
    pub(super) async fn history(&self) -> Vec<Past> {
        match self {
            Self::Here(view) => view.history(),
            Self::Afar(afar) => afar.history().await,
        }
    }

    /// One of them, if there is one that is called `id`.
    ///
    /// # Errors
    /// The other machine cannot be asked.
    pub(super) async fn burst(&self, id: &str) -> Result<Option<Found>> {
        match self {
            Self::Here(view) => Ok(view.burst(id)),
            Self::Afar(afar) => afar.burst(id).await,
        }
    }

    /// Ends what it has elsewhere.
    pub(super) async fn end(&self) {
        if let Self::Afar(afar) = self {
            afar.end().await;
        }
    }
}
