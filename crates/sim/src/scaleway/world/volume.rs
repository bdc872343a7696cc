//! What the instance API itself stores: local volumes, snapshots of them, and images made of those.

use super::store::resource;
use super::{Life, World, gigabytes};
use crate::scaleway::catalogue::LOCAL_GB_HOUR;

/// A local volume. One without a server is billed like any other.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) zone: String,
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) size: u64,
    /// `l_ssd` or `scratch`.
    pub(crate) kind: String,
    pub(crate) tags: Vec<String>,
    pub(crate) server: Option<String>,
}

/// A snapshot of a local volume.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) zone: String,
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) tags: Vec<String>,
    pub(crate) volume: String,
}

/// An image that a `backup` made.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) zone: String,
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) arch: &'static str,
    pub(crate) from_server: String,
    /// A snapshot of either API.
    pub(crate) root: Option<String>,
    pub(crate) size: u64,
}
resource!(Volume, Snapshot, Image);

impl World {
    pub(crate) fn add_volume(&mut self, volume: Volume) {
        self.meter(
            "volume",
            &volume.id,
            &volume.kind,
            &volume.project,
            &volume.zone,
            LOCAL_GB_HOUR * gigabytes(volume.size),
        );
        self.volumes.add(volume);
    }

    pub(crate) fn remove_volume(&mut self, id: &str) {
        let now = self.now();
        self.bill.close("volume", id, now);
        self.volumes.remove(id, now);
    }

    pub(crate) fn add_snapshot(&mut self, snapshot: Snapshot) {
        self.meter(
            "snapshot",
            &snapshot.id,
            "l_ssd_snapshot",
            &snapshot.project,
            &snapshot.zone,
            LOCAL_GB_HOUR * gigabytes(snapshot.size),
        );
        self.snapshots.add(snapshot);
    }

    pub(crate) fn remove_snapshot(&mut self, id: &str) {
        let now = self.now();
        self.bill.close("snapshot", id, now);
        self.snapshots.remove(id, now);
    }
}
