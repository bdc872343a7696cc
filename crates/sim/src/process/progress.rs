//! The progress lines of a child.

use std::fmt;
use std::io::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::server::log::Log;

/// Where the lines go.
pub(crate) struct Progress {
    out: Mutex<Box<dyn Write + Send>>,
    is_broken: AtomicBool,
    /// The child's own log, in which each line is as well.
    log: Option<Log>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("is_broken", &self.is_broken())
            .finish_non_exhaustive()
    }
}

impl Progress {
    /// To standard output.
    pub(crate) fn standard() -> Self {
        Self::to(std::io::stdout())
    }

    /// Anywhere.
    pub(crate) fn to(out: impl Write + Send + 'static) -> Self {
        Self {
            out: Mutex::new(Box::new(out)),
            is_broken: AtomicBool::new(false),
            log: None,
        }
    }

    /// With a log of the child's own, beside the server's.
    pub(crate) fn logged(self, log: Log) -> Self {
        Self { log: Some(log), ..self }
    }

    /// One line; `done` of `total`, or an unknown share when `total` is 0. `item` is the rating key worked on, or 0.
    pub(crate) fn step(&self, done: usize, total: usize, item: i64, text: &str) {
        let percent = (done.min(total) * 100)
            .checked_div(total)
            .map_or(-1, |percent| i64::try_from(percent).unwrap_or(100));
        // A line break in a title would make two lines of one.
        let text = text.replace(['\n', '\r'], " ");
        if let Some(log) = &self.log {
            log.debug(format_args!("[{item}] {text} ({done} of {total})"));
        }
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if writeln!(out, "progress {percent} {item} {text}")
            .and_then(|()| out.flush())
            .is_err()
        {
            self.is_broken.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a line could not be written.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut lines = self.0.lock().unwrap();
            if lines.len() > 60 {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            lines.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_as_the_server_reads_them() {
        let lines = Lines::default();
        let progress = Progress::to(lines.clone());
        progress.step(1, 4, 77, "Some\nAlbum");
        progress.step(0, 0, 0, "Scanning");
        assert_eq!(
            lines.0.lock().unwrap().as_slice(),
            b"progress 25 77 Some Album\nprogress -1 0 Scanning\n"
        );
        assert!(!progress.is_broken());
        progress.step(9, 4, 0, "more than all");
        progress.step(9, 4, 0, "nobody reads");
        assert!(progress.is_broken());
    }
}
