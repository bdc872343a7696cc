//! Block volumes: they outlive their server, and take their time about everything (facts/cloud.md §1.7).

use super::store::resource;
use super::{Event, Life, World, gigabytes};
use crate::scaleway::catalogue::{BLOCK_5K_GB_HOUR, BLOCK_15K_GB_HOUR, LOCAL_GB_HOUR};
use crate::scaleway::clock::Micros;

/// A status as the API names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockStatus {
    Creating,
    Available,
    InUse,
    Deleting,
}

impl BlockStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            BlockStatus::Creating => "creating",
            BlockStatus::Available => "available",
            BlockStatus::InUse => "in_use",
            BlockStatus::Deleting => "deleting",
        }
    }
}

/// What holds a volume.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) id: String,
    pub(crate) server: String,
    pub(crate) created: Micros,
    /// Attached, or on its way off.
    pub(crate) detaching: bool,
}

/// A volume of the block API.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) zone: String,
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) size: u64,
    /// 5000 or 15000.
    pub(crate) iops: u32,
    pub(crate) tags: Vec<String>,
    pub(crate) status: BlockStatus,
    pub(crate) reference: Option<Reference>,
    pub(crate) parent_snapshot: Option<String>,
    pub(crate) last_detached: Option<Micros>,
}

/// A snapshot of the block API.
#[derive(Debug, Clone)]
pub(crate) struct BlockSnapshot {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) zone: String,
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) tags: Vec<String>,
    pub(crate) volume: Option<String>,
}
resource!(Block, BlockSnapshot);

impl World {
    /// Makes a volume, attached from the start when it is for a server.
    pub(crate) fn add_block(&mut self, mut block: Block, server: Option<&str>) -> String {
        let id = block.id.clone();
        if let Some(server) = server {
            block.reference = Some(Reference {
                id: self.random.uuid(),
                server: server.to_owned(),
                created: self.now(),
                detaching: false,
            });
        }
        let price = if block.iops > 5000 {
            BLOCK_15K_GB_HOUR
        } else {
            BLOCK_5K_GB_HOUR
        };
        self.meter(
            "block_volume",
            &id,
            &format!("sbs_{}k", block.iops / 1000),
            &block.project,
            &block.zone,
            price * gigabytes(block.size),
        );
        self.blocks.add(block);
        self.later(self.delays.creating, Event::BlockReady { id: id.clone() });
        id
    }

    pub(super) fn block_ready(&mut self, id: &str) {
        let now = self.now();
        if let Some(block) = self.blocks.touch(id, now)
            && block.status == BlockStatus::Creating
        {
            block.status = match block.reference {
                Some(_) => BlockStatus::InUse,
                None => BlockStatus::Available,
            };
        }
    }

    pub(crate) fn attach_block(&mut self, id: &str, server: &str) {
        let (now, reference) = (self.now(), self.random.uuid());
        if let Some(block) = self.blocks.touch(id, now) {
            block.status = BlockStatus::InUse;
            block.reference = Some(Reference {
                id: reference,
                server: server.to_owned(),
                created: now,
                detaching: false,
            });
        }
    }

    /// Lets go of a volume; until that is through it cannot be deleted.
    pub(crate) fn detach_block(&mut self, id: &str) {
        let now = self.now();
        let Some(block) = self.blocks.touch(id, now) else {
            return;
        };
        block.status = BlockStatus::InUse;
        if let Some(reference) = &mut block.reference {
            reference.detaching = true;
        }
        self.later(self.delays.detaching, Event::BlockDetached { id: id.to_owned() });
    }

    pub(super) fn block_detached(&mut self, id: &str) {
        let now = self.now();
        if let Some(block) = self.blocks.touch(id, now)
            && block.reference.as_ref().is_some_and(|reference| reference.detaching)
        {
            block.reference = None;
            block.last_detached = Some(now);
            block.status = BlockStatus::Available;
        }
    }

    /// Begins to delete a volume that is free.
    pub(crate) fn delete_block(&mut self, id: &str) {
        let now = self.now();
        if let Some(block) = self.blocks.touch(id, now) {
            block.status = BlockStatus::Deleting;
            self.later(self.delays.deleting, Event::BlockDeleted { id: id.to_owned() });
        }
    }

    pub(super) fn block_deleted(&mut self, id: &str) {
        let now = self.now();
        self.bill.close("block_volume", id, now);
        self.blocks.remove(id, now);
    }

    pub(crate) fn add_block_snapshot(&mut self, snapshot: BlockSnapshot) {
        // Priced as local storage is (facts/cloud.md §1.5).
        self.meter(
            "snapshot",
            &snapshot.id,
            "sbs_snapshot",
            &snapshot.project,
            &snapshot.zone,
            LOCAL_GB_HOUR * gigabytes(snapshot.size),
        );
        self.block_snapshots.add(snapshot);
    }

    pub(crate) fn remove_block_snapshot(&mut self, id: &str) {
        let now = self.now();
        self.bill.close("snapshot", id, now);
        self.block_snapshots.remove(id, now);
    }
}
