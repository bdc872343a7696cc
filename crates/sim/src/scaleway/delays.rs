//! How long things take, in seconds of the simulator's clock.

use serde::{Deserialize, Serialize};

/// The defaults are what was seen or is usual; 0 makes a thing happen at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delays {
    /// `poweron` until a hypervisor has been found.
    pub allocating: f64,
    /// From there until the server is `running` and has its address.
    pub booting: f64,
    /// From there until the host keys' fingerprints are in the user data. Real instances say so themselves.
    pub fingerprints: f64,
    /// A clean stop, or a restart.
    pub stopping: f64,
    /// On top of it, for each 10 GB of local volumes that `poweroff` archives.
    pub archiving: f64,
    /// `terminate` until the server is 404.
    pub terminating: f64,
    /// The loss of its server until a block volume is free.
    pub detaching: f64,
    /// Making a block volume.
    pub creating: f64,
    /// `DELETE` of a block volume until it is 404.
    pub deleting: f64,
    /// How long lists show yesterday's state: neither what was just made, nor that something is gone.
    pub list_lag: f64,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            allocating: 3.0,
            booting: 9.0,
            fingerprints: 12.0,
            stopping: 8.0,
            archiving: 5.0,
            terminating: 8.0,
            detaching: 6.0,
            creating: 2.0,
            deleting: 4.0,
            list_lag: 2.0,
        }
    }
}

impl Delays {
    /// Everything at once, for tests that are about something else.
    pub const NONE: Self = Self {
        allocating: 0.0,
        booting: 0.0,
        fingerprints: 0.0,
        stopping: 0.0,
        archiving: 0.0,
        terminating: 0.0,
        detaching: 0.0,
        creating: 0.0,
        deleting: 0.0,
        list_lag: 0.0,
    };
}
