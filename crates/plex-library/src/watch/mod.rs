//! A library watched beside a running server: which rows may differ from a copy that was made of it.
//!
//! A read transaction is held from the moment of the copy on. As long as it lasts SQLite's log cannot be begun anew over
//! frames that came after that moment, so the log names every page that was written since: what is to be looked at costs
//! what changed, not what there is. The server's last connection, when it stops, leaves the log as it is for the same reason;
//! the log is folded in and removed when the watch ends.
//!
//! A server that insists on folding its log in before it ends would wait for the transaction. It is let go then
//! ([`Watch::let_go`]), with what was written until then noted. What came after that is told by the log where it is still to be
//! read (a log that was removed is, by an open handle); where it is not, the index, which counts transactions, says whether
//! there was anything.
//!
//! The price: the log grows for as long as the watch lasts, by what the server writes. So it is begun when everything else is
//! done, and ended as soon as the server has stopped.
//!
//! Must not: be believed where anything is not understood: then there is no answer, and everything has to be compared.

mod layout;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::format::index;
use crate::format::wal;
use crate::handles::Handle;
use crate::layered;
use crate::paths::{Databases, Which, shm_of, wal_of};
use crate::progress::Progress;
use crate::snapshot::{self, Options};
use crate::source::Source;
use crate::users;
use layout::Layout;
pub(crate) use rows::Rows;

/// If more than one page in this many was written, looking into each costs as much as comparing everything.
const FEW: usize = 4;

/// A pair that is being watched.
#[derive(Debug)]
pub(crate) struct Watch {
    sides: Vec<(Which, Side)>,
}

#[derive(Debug)]
struct Side {
    path: PathBuf,
    page_size: u32,
    /// Whether all of the log had been written back when the watch began.
    began_in_file: bool,
    /// Holds the moment; given up by [`Side::let_go`].
    source: Option<Source>,
    layout: Layout,
    began: index::Moment,
    shm: Handle,
    log: Handle,
    /// What was written until the moment was given up.
    told: Option<(index::Moment, Option<Rows>)>,
}

/// What was written to both databases, and until when.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) library: Rows,
    pub(crate) blobs: Rows,
    until: Vec<(Which, index::Moment)>,
}

impl Watch {
    /// Makes a copy of a library in the folder `copy`, which must not exist or be empty, as layers over the copy `older`
    /// ([`crate::layered`]) or, where that cannot be, one of its own, and watches the library from the copy's moment on. There
    /// is no watch where no server is at work, or something is not understood.
    pub(crate) fn begin(
        live: &Databases,
        older: &Databases,
        copy: &Path,
        progress: &dyn Progress,
    ) -> Result<Option<Self>> {
        let moment = match layered::take_and_hold(live, older, copy, progress)? {
            Some((_, moment)) => moment,
            None => snapshot::take_and_hold(live, copy, &Options::default(), progress)?.1,
        };
        let copied = Databases::at(copy);
        let mut sides = Vec::new();
        for (which, source) in moment.into_sources() {
            match Side::of(source, &copied.path(which))? {
                Some(side) => sides.push((which, side)),
                None => return Ok(None),
            }
        }
        Ok(Some(Self { sides }))
    }

    /// Which moments the two databases have come to: the same as long as nobody writes.
    pub(crate) fn moments(&self) -> Vec<Option<index::Moment>> {
        self.sides.iter().map(|(_, side)| index::moment(&side.shm)).collect()
    }

    /// Whether somebody waits to fold a log in, and keeps all others from writing meanwhile.
    pub(crate) fn is_awaited(&self) -> bool {
        self.sides
            .iter()
            .any(|(_, side)| side.source.is_some() && users::waits_to_write_back(&side.shm))
    }

    /// Holds the moment no longer. What was written so far is noted.
    pub(crate) fn let_go(&mut self) {
        for (_, side) in &mut self.sides {
            side.let_go();
        }
    }

    /// What was written since. The server has to have stopped.
    pub(crate) fn written(&self) -> Option<Written> {
        let mut written = Written {
            library: Rows::new(),
            blobs: Rows::new(),
            until: Vec::new(),
        };
        for (which, side) in &self.sides {
            let until = index::moment(&side.shm)?;
            let rows = side.rows(until)?;
            match which {
                Which::Library => written.library = rows,
                Which::Blobs => written.blobs = rows,
            }
            written.until.push((*which, until));
        }
        Some(written)
    }

    /// Confirms that nothing was written after that.
    ///
    /// # Errors
    /// [`Error::Changed`]: the server had not stopped.
    pub(crate) fn confirm(&self, written: &Written) -> Result<()> {
        for ((_, side), (_, until)) in self.sides.iter().zip(&written.until) {
            if index::moment(&side.shm) != Some(*until) {
                return Err(Error::Changed {
                    path: side.path.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Side {
    /// `source` is held, and `copy` is what it is.
    fn of(source: Source, copy: &Path) -> Result<Option<Self>> {
        let Some(began) = source.began() else { return Ok(None) };
        let (shm, log) = (shm_of(source.path()), wal_of(source.path()));
        let (Some(shm), Some(log)) = (Handle::open_if_there(&shm)?, Handle::open_if_there(&log)?) else {
            return Ok(None);
        };
        let Some(layout) = Layout::of(copy) else {
            tracing::warn!(copy = %copy.display(), "its pages are not laid out as it is understood here");
            return Ok(None);
        };
        Ok(Some(Self {
            path: source.path().to_owned(),
            page_size: source.page_size(),
            began_in_file: source.log_frames() == 0,
            source: Some(source),
            layout,
            began,
            shm,
            log,
            told: None,
        }))
    }

    fn let_go(&mut self) {
        if self.source.is_none() {
            return;
        }
        // A writer may be at it this very instant; without a moment there is nothing to go by later.
        if let Some(until) = index::moment(&self.shm) {
            self.told = Some((until, self.rows_in_log(until)));
        }
        self.source = None;
    }

    /// The rows that may differ at the moment `until`, which is the last one.
    fn rows(&self, until: index::Moment) -> Option<Rows> {
        if let Some((told_until, rows)) = &self.told
            && until.is_as_far_as(told_until)
        {
            return rows.clone();
        }
        if self.source.is_none() && !self.told.as_ref()?.0.is_of_the_same_log(&until) {
            // Begun anew when nobody held it: what it held before that is gone.
            return None;
        }
        self.rows_in_log(until)
    }

    fn rows_in_log(&self, until: index::Moment) -> Option<Rows> {
        if until == self.began {
            return Some(Rows::new());
        }
        let since = self.first_frame(&until)?;
        if until.pages < self.layout.pages.count {
            // It was made smaller, so everything was written anew.
            return None;
        }
        let (path, size, log) = (&self.path, self.page_size, &self.log);
        let log_path = wal_of(path);
        let overlay = wal::scan(log, &log_path, size, Some(until.mark)).ok()?.overlay;
        if overlay.mark() != until.mark || overlay.checksum() != until.checksum {
            return None;
        }
        let written: HashSet<u32> = overlay.since(since).collect();
        if written.len() > (self.layout.pages.count as usize / FEW).max(64) {
            return None;
        }
        tracing::debug!(path = %path.display(), pages = written.len(), "pages written since the copy");
        rows::find(&self.layout, &written, |page| {
            let mut bytes = vec![0; size as usize];
            overlay
                .read_page(log, &log_path, page, &mut bytes)
                .ok()?
                .then_some(bytes)
        })
    }

    /// The frame of the log after which everything is new.
    fn first_frame(&self, until: &index::Moment) -> Option<u32> {
        if until.is_of_the_same_log(&self.began) {
            return Some(self.began.mark);
        }
        // With all of the log written back, the transaction holds the file and not the log: it may begin anew, once, since
        // nothing can be written back any more.
        (self.began_in_file && until.is_of_the_log_after(&self.began)).then_some(0)
    }
}
