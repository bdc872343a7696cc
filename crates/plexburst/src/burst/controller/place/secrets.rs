//! The secrets that a worker elsewhere needs, and no others; the worker's task names them afterwards.

use crate::burst::spec::WorkerSpec;
use crate::error::{Error, Result};
use crate::host::secrets::{Secret, Secrets};

/// Collects them, and lets `spec` name them in the folder `dir` of the worker's machine.
///
/// # Errors
/// A file that cannot be read; media or a depot that the other machine cannot reach.
pub(super) fn collect(spec: &mut WorkerSpec, dir: &str) -> Result<Vec<Secret>> {
    if spec.depot.remote.is_none() {
        return Err(
            Error::usage("a worker on another machine cannot reach a depot that is a folder of this one")
                .hint("set `depot.remote` to a bucket or an SFTP host"),
        );
    }
    let mut secrets = Secrets::new(dir);
    secrets.depot(&mut spec.depot)?;
    secrets.media(&mut spec.media)?;
    secrets.claim(&mut spec.claim_file)?;
    Ok(secrets.into_files())
}
