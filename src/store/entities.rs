//! Ids of what tasks are about.
//!
//! An entity is identified by its type and id, or by its type and value if the id is null. Its name is the value of the
//! newest task. Only another name is written, because a write for each task would cost more than the task itself: a task
//! that is read late with an older name can therefore win until the next task.

use std::borrow::Cow;
use std::collections::HashSet;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::Result;
use crate::task::{Entity, Label, Name};

/// The entities of one account that a transaction has met, with the texts of its tasks.
pub(super) struct Entities<'a> {
    db: &'a Connection,
    account: i64,
    /// Held for the whole transaction, since nearly every row looks up an entity.
    find: CachedStatement<'a>,
    /// hashbrown's map: its hash takes 2 % of the instructions of an initial sync less than that of std's.
    met: HashMap<Key<'a>, Named<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key<'a> {
    entity_type: Option<&'a str>,
    text: &'a str,
    has_id: bool,
}

/// An entity, with the creation time of the task that named it.
struct Named<'a> {
    id: i64,
    since: i64,
    name: Option<Cow<'a, str>>,
    /// Whether the name is to be written, once for all tasks of a transaction.
    is_renamed: bool,
}

// === impl Entities ===

impl<'a> Entities<'a> {
    pub(super) fn new(db: &'a Connection, account: i64) -> Result<Self> {
        let find = db.prepare_cached(
            "SELECT id, named, name FROM entity
             WHERE account = ?1 AND key = ?2 AND has_id = ?3 AND coalesce(type, '') = coalesce(?4, '')",
        )?;
        Ok(Self { db, account, find, met: HashMap::new() })
    }

    /// The id of the entity of a task created at `created`; none if it has neither id nor value.
    pub(super) fn id(&mut self, entity: Option<&'a Entity>, created: i64) -> Result<Option<i64>> {
        let Some((key, name)) = entity.and_then(key) else { return Ok(None) };
        let named = match self.met.entry(key) {
            Entry::Occupied(met) => met.into_mut(),
            Entry::Vacant(new) => new.insert(match find(&mut self.find, self.account, key, name)? {
                Some(named) => named,
                None => insert(self.db, self.account, key, name, created)?,
            }),
        };
        named.rename(name, created);
        Ok(Some(named.id))
    }

    /// Writes the names that have changed, and gives whose they are.
    pub(super) fn finish(self) -> Result<HashSet<i64>> {
        let mut update = self.db.prepare_cached("UPDATE entity SET name = ?2, named = ?3 WHERE id = ?1")?;
        let mut renamed = HashSet::new();
        for named in self.met.into_values().filter(|named| named.is_renamed) {
            update.execute((named.id, named.name, named.since))?;
            renamed.insert(named.id);
        }
        Ok(renamed)
    }
}

fn key(entity: &Entity) -> Option<(Key<'_>, Option<&str>)> {
    let (id, name) = (entity.id.as_ref().map(Name::as_str), entity.name.as_ref().map(Name::as_str));
    let entity_type = entity.entity_type.as_ref().map(Label::as_str);
    Some((Key { entity_type, text: id.or(name)?, has_id: id.is_some() }, name))
}

/// The entity with this key. Its name is mostly that of the reading, and is copied only if it is not.
fn find<'a>(
    find: &mut CachedStatement<'_>,
    account: i64,
    key: Key<'_>,
    reading: Option<&'a str>,
) -> Result<Option<Named<'a>>> {
    let found = find.query_row((account, key.text, key.has_id, key.entity_type), |row| {
        let stored = row.get_ref(2)?.as_str_or_null()?;
        let name = if stored == reading {
            reading.map(Cow::Borrowed)
        } else {
            stored.map(|name| name.to_owned().into())
        };
        Ok(Named { id: row.get(0)?, since: row.get(1)?, name, is_renamed: false })
    });
    Ok(found.optional()?)
}

fn insert<'a>(
    db: &Connection,
    account: i64,
    key: Key<'_>,
    name: Option<&'a str>,
    created: i64,
) -> Result<Named<'a>> {
    let named = if name.is_some() { created } else { i64::MIN };
    let mut insert = db.prepare_cached(
        "INSERT INTO entity (account, type, key, has_id, name, named) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let id = insert.insert((account, key.entity_type, key.text, key.has_id, name, named))?;
    Ok(Named { id, since: named, name: name.map(Cow::Borrowed), is_renamed: false })
}

// === impl Named ===

impl<'a> Named<'a> {
    fn rename(&mut self, name: Option<&'a str>, created: i64) {
        if name.is_some() && name != self.name.as_deref() && created > self.since {
            (self.since, self.is_renamed) = (created, true);
            self.name = name.map(Cow::Borrowed);
        }
    }
}
