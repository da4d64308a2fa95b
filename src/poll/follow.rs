//! What one poll does once the initial sync has read everything older: the steps of [`super`].

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::listing::{Range, RangeListing};
use super::reader::{Reader, Sightings};
use super::since::{counts_from, listed_from};
use super::{Error, Poller, Report};
use crate::clumio::{Filter, Page, TaskList};
use crate::store::{self, Completes, PollCommit, PollInstant, SliceCommit, Source};
use crate::task::{Task, TaskId};
use crate::time::Timestamp;

/// What a poll has yet to find.
struct Unseen {
    open: HashSet<TaskId>,
    newest: Option<TaskId>,
}

// === impl Poller ===

impl<L: TaskList> Poller<L> {
    /// Reads what changed, and commits it.
    pub(super) async fn follow(&mut self) -> Result<Report, Error> {
        let state = self.replica.load().await?.ok_or(store::Error::Replaced)?;
        let newest = self.replica.newest().await?;
        let mut unseen = Unseen::new(self.replica.followed().await?, newest.as_ref());
        let mut reader = Reader::new(&self.list, self.page_size, self.options.max_rows);
        let mut rows = Sightings::default();
        read_open(&mut reader, &mut rows).await?;
        rows.iter().for_each(|task| unseen.see_open(task));
        let reading = self.clock.at(reader.first_response(), self.options.rules.overlap);
        let newest = newest.map(|(created, _)| created);
        let (from, gap_until) = listed_from(&state, reading, newest, &self.options);
        let source = match state.sync_from {
            Some(_) => Source::InitialSync,
            None => {
                Source::Poll { counts_from: counts_from(&state, reading, newest, self.options.rules.overlap) }
            }
        };
        self.list_new(&mut reader, (from, source, reading.now), &mut rows, &mut unseen).await?;
        let (missing, vanished_offset) = self.look_up_missing(&mut reader, &unseen, &mut rows).await?;
        (self.page_size, self.vanished_offset) = (reader.page_size(), vanished_offset);
        self.commit(PollCommit {
            tasks: rows.into_tasks(),
            source,
            now: reading.now,
            missing,
            sees_newest: unseen.newest.is_none(),
            has_published: self.has_published,
            gap_until,
        })
        .await
    }

    /// Lists what was created since `from`, oldest first. If it is more than fits in memory, all but the last part is
    /// committed on the way.
    async fn list_new(
        &self,
        reader: &mut Reader<'_, L>,
        (from, source, now): (Timestamp, Source, PollInstant),
        rows: &mut Sightings,
        unseen: &mut Unseen,
    ) -> Result<(), Error> {
        let mut ranges = vec![Range { from, to: None }];
        let mut new: Vec<Task> = Vec::new();
        while let Some(range) = ranges.pop() {
            match reader.list_range(range).await? {
                RangeListing::Complete { tasks, .. } => {
                    for task in &tasks {
                        unseen.see_new(task);
                    }
                    new.extend(tasks);
                }
                RangeListing::Split(parts) => ranges.extend(parts.into_iter().rev()),
            }
            if new.len() as u64 >= self.options.max_rows && !ranges.is_empty() {
                let tasks = std::mem::take(&mut new);
                let completes = match (source, ranges.last()) {
                    (Source::InitialSync, Some(next)) => Completes::InitialSyncUntil(next.from),
                    _ => Completes::Nothing,
                };
                self.replica.commit_slice(SliceCommit { tasks, source, now, completes }).await?;
            }
        }
        rows.see_all(new);
        Ok(())
    }

    /// Looks up the open tasks that no listing has shown, and as many vanished ones as fit the last batch. Gives those that
    /// are still missing, and the vanished task with which the next poll continues.
    async fn look_up_missing(
        &self,
        reader: &mut Reader<'_, L>,
        unseen: &Unseen,
        rows: &mut Sightings,
    ) -> Result<(Vec<TaskId>, u64), Error> {
        let mut ids: Vec<TaskId> = unseen.open.iter().cloned().collect();
        ids.sort();
        let missing = ids.len();
        let batch = u64::from(self.options.id_batch_size.min(reader.limit()).max(1));
        let free = if ids.is_empty() { batch } else { (batch - ids.len() as u64 % batch) % batch };
        let vanished = self.replica.vanished(self.vanished_offset, free).await?;
        let has_all = (vanished.len() as u64) < free;
        let next_vanished = if has_all { 0 } else { self.vanished_offset + free };
        ids.extend(vanished);
        reader.look_up(ids.clone(), self.options.id_batch_size, rows).await?;
        ids.truncate(missing);
        ids.retain(|id| !rows.contains(id));
        Ok((ids, next_vanished))
    }

    async fn commit(&mut self, poll: PollCommit) -> Result<Report, Error> {
        let (snapshot, outcome) = self.replica.commit_poll(poll).await?;
        match outcome {
            Ok(()) => {
                let snapshot = Arc::new(snapshot);
                self.has_published = true;
                self.committed = Some(Arc::clone(&snapshot));
                Ok(Report { snapshot, uncommitted: None })
            }
            Err(error) => {
                let snapshot = snapshot.with_counters_of(self.committed.as_deref());
                Ok(Report { snapshot: Arc::new(snapshot), uncommitted: Some(error) })
            }
        }
    }
}

/// Reads the open tasks once. Rows that it misses are looked up.
pub(super) async fn read_open<L: TaskList>(
    reader: &mut Reader<'_, L>,
    rows: &mut Sightings,
) -> Result<(), Error> {
    let take = |page: Page, _| {
        rows.see_all(page.tasks);
        ControlFlow::Continue(())
    };
    Ok(reader.read(&Filter::Open, take).await?)
}

// === impl Unseen ===

impl Unseen {
    fn new(followed: Vec<TaskId>, newest: Option<&(Timestamp, TaskId)>) -> Self {
        Self { open: followed.into_iter().collect(), newest: newest.map(|(_, id)| id.clone()) }
    }

    fn see_open(&mut self, task: &Task) {
        self.open.remove(&task.id);
    }

    fn see_new(&mut self, task: &Task) {
        self.see_open(task);
        if self.newest.as_ref() == Some(&task.id) {
            self.newest = None;
        }
    }
}
