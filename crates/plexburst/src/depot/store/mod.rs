//! The places where a depot can lie: a folder, an S3 bucket, an SFTP host. All of them keep small whole objects under
//! keys, and that is all that is asked of them.
//!
//! A put is whole or not at all in every place. What they complain of is sorted into [`Fault`], so that whoever is
//! above knows what is worth trying again.

mod directory;
mod s3;
mod sftp;

pub(super) use directory::Directory;
pub(super) use s3::{Bucket, S3};
pub(super) use sftp::{Host, Sftp};

/// Why a place did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// There is no such object.
    #[error("it is not there")]
    Missing,
    /// The place did not answer, or says that it is busy: worth trying again.
    #[error("{0}")]
    Passing(String),
    /// The keys are wrong, have expired, or do not allow this.
    #[error("{0}")]
    Denied(String),
    /// The place is full.
    #[error("{0}")]
    Full(String),
    /// Anything else; trying again does not help.
    #[error("{0}")]
    Other(String),
}

/// One object in a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its key, from the depot's own root.
    pub key: String,
    /// Its size as it is kept.
    pub bytes: u64,
}

/// One of the places.
#[derive(Debug)]
pub(super) enum Store {
    Directory(Directory),
    S3(S3),
    Sftp(Sftp),
}

impl Store {
    /// Puts `bytes` under `key`, replacing what was there.
    pub(super) async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Directory(store) => store.put(key, bytes).await,
            Self::S3(store) => store.put(key, bytes).await,
            Self::Sftp(store) => store.put(key, bytes).await,
        }
    }

    /// The content of an object.
    pub(super) async fn get(&self, key: &str) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Directory(store) => store.get(key).await,
            Self::S3(store) => store.get(key).await,
            Self::Sftp(store) => store.get(key).await,
        }
    }

    /// The size of an object.
    pub(super) async fn size(&self, key: &str) -> Result<u64, Fault> {
        match self {
            Self::Directory(store) => store.size(key).await,
            Self::S3(store) => store.size(key).await,
            Self::Sftp(store) => store.size(key).await,
        }
    }

    /// Removes an object; one that is not there is fine.
    pub(super) async fn remove(&self, key: &str) -> Result<(), Fault> {
        match self {
            Self::Directory(store) => store.remove(key).await,
            Self::S3(store) => store.remove(key).await,
            Self::Sftp(store) => store.remove(key).await,
        }
    }

    /// All objects below the folder `prefix` ("" is everything), in the order of their keys.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Fault> {
        let mut listed = match self {
            Self::Directory(store) => store.list(prefix).await,
            Self::S3(store) => store.list(prefix).await,
            Self::Sftp(store) => store.list(prefix).await,
        }?;
        listed.sort();
        Ok(listed)
    }

    /// Removes the folder `prefix` with everything in it, left-overs of killed puts too.
    pub(super) async fn remove_folder(&self, prefix: &str) -> Result<(), Fault> {
        match self {
            Self::Directory(store) => store.remove_folder(prefix).await,
            Self::S3(store) => store.remove_folder(prefix).await,
            Self::Sftp(store) => store.remove_folder(prefix).await,
        }
    }
}
