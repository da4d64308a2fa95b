//! The web config in use, and whether its files have changed since.
//!
//! The files are looked at once a second, on a thread that may wait for them, and read when one of them is another one
//! than before. Kubernetes swaps a link to the folder: that changes what is found at the path, so it is seen.
//!
//! Whoever writes a file in place empties it first, and a full disk leaves it so. An empty web config is right, and would
//! open everything: so what keeps others out is turned off only by who asks for a reload.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use super::{Access, Problems, read_config};
use crate::config::{Clients, Pem, WebConfig};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is in use.
#[derive(Debug, Default)]
pub struct Gate {
    current: ArcSwap<Access>,
    source: Mutex<Option<Source>>,
}

/// A web config that was read and not yet taken into use.
#[derive(Debug)]
pub struct Opened {
    access: Access,
    source: Option<Source>,
}

/// Where the web config is, and how its files were when they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    file: PathBuf,
    /// The files that it names.
    others: Vec<PathBuf>,
    stamps: Vec<Option<Stamp>>,
}

/// What changes when a file becomes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

// === impl Gate ===

impl Gate {
    /// Plain HTTP for everybody, until something else is taken into use.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(in crate::http) fn current(&self) -> Arc<Access> {
        self.current.load_full()
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.current.load().tls.is_some()
    }

    /// Reads the web config in `file`; without one, everything is open. It waits for the disk.
    ///
    /// # Errors
    /// If the file or one that it names is of no use; then all of what is wrong.
    pub fn read(&self, file: Option<&Path>) -> Result<Opened, Problems> {
        let Some(file) = file else { return Ok(Opened { access: Access::default(), source: None }) };
        let (source, access) = self.attempt(file);
        Ok(Opened { access: access?, source })
    }

    /// The same, with what to look at even if it is of no use; nothing where the text of `file` does not tell.
    fn attempt(&self, file: &Path) -> (Option<Source>, Result<Access, Problems>) {
        // First how they are, then what is in them: a change between the two is seen at the next look.
        let stamp_of_file = stamp(file);
        let config = match read_config(file) {
            Ok(config) => config,
            Err(problems) => return (None, Err(problems)),
        };
        let others = files(&config);
        let stamps = std::iter::once(stamp_of_file).chain(others.iter().map(|path| stamp(path))).collect();
        let access = Access::new(&config, file, &self.current.load());
        (Some(Source { file: file.to_owned(), others, stamps }), access)
    }

    /// Takes what was read into use, from the next connection and request on.
    pub fn install(&self, opened: Opened) {
        // Held until both are there: a look between the two would take the source of one for that of the other.
        let mut source = self.source();
        *source = opened.source;
        self.current.store(Arc::new(opened.access));
    }

    /// Reads the files again whenever they have changed, for ever, and tells whether they are in use then.
    pub(in crate::http) async fn watch(self: Arc<Self>, tell: impl Fn(bool)) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let gate = Arc::clone(&self);
            // A panic is in the log already.
            if let Ok(Some(is_in_use)) = spawn_blocking(move || gate.look()).await {
                tell(is_in_use);
            }
        }
    }

    /// Whether what has changed is in use; nothing if nothing has.
    fn look(&self) -> Option<bool> {
        let source = self.source().clone()?;
        let seen = source.seen();
        if seen == source {
            return None;
        }
        let shown = source.file.display().to_string();
        let (read, access) = self.attempt(&source.file);
        // A reload may have been faster, and what it took into use stays.
        let mut current = self.source();
        if current.as_ref() != Some(&source) {
            return None;
        }
        // What was wrong is told once, and read again when it changes; so do files that it names and are yet to come.
        *current = Some(read.unwrap_or(seen));
        match access.and_then(|access| access.keeps_out_as(&self.current(), &shown)) {
            Ok(access) => {
                self.current.store(Arc::new(access));
                info!(file = shown, "the web config or a file of it has changed, and is in use");
                Some(true)
            }
            Err(problems) => {
                let problems = problems.join("; ");
                error!(
                    file = shown,
                    problems, "the web config has changed and was refused; the one before stays in use"
                );
                Some(false)
            }
        }
    }

    fn source(&self) -> MutexGuard<'_, Option<Source>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Source ===

impl Source {
    /// The same as its files are now.
    fn seen(&self) -> Self {
        let paths = std::iter::once(&self.file).chain(&self.others);
        Self { stamps: paths.map(|path| stamp(path)).collect(), ..self.clone() }
    }
}

fn files(config: &WebConfig) -> Vec<PathBuf> {
    let Some(tls) = &config.tls else { return Vec::new() };
    let ca = match &tls.clients {
        Clients::Verified { ca, .. } => Some(ca),
        Clients::Any => None,
    };
    let pems = [Some(&tls.certificate), Some(&tls.key), ca].into_iter().flatten();
    let paths = pems.filter_map(|pem| match pem {
        Pem::File(path) => Some(path.clone()),
        Pem::Inline(_) => None,
    });
    paths.collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp {
        place: (found.dev(), found.ino()),
        length: found.len(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests;
