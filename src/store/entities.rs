//! Ids of what tasks are about.
//!
//! An entity is identified by its type and id, or by its type and value if the id is null. Its name is the value of the
//! newest task. Only another name is written, because a write for each task would cost more than the task itself: a task
//! that is read late with an older name can therefore win until the next task.

use std::borrow::Cow;
use std::collections::HashSet;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use ring::digest::{SHA256, digest};
use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::Result;
use crate::task::{Entity, LABEL_BYTES, Label, Name};

/// Bytes of the digest that stands for the name of an entity without an id.
const DIGEST_BYTES: usize = 8;

/// How the digest of a name begins.
const DIGEST_PREFIX: &str = "sha256:";

/// Sorts after every text that begins as the one before it.
const LAST_CHARACTER: char = '\u{10FFFF}';

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

/// An entity as it is stored.
pub(super) struct StoredEntity {
    pub(super) entity_type: Option<String>,
    pub(super) key: String,
    pub(super) has_id: bool,
    pub(super) name: Option<String>,
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

/// The entities of an account whose published id is `id`. A label may be a truncated id.
pub(super) fn with_id(db: &Connection, (account, names): (i64, bool), id: &str) -> Result<Vec<i64>> {
    if !names && id.starts_with(DIGEST_PREFIX) {
        return with_digest(db, account, id);
    }
    // The longest character has four bytes.
    let is_truncated = (LABEL_BYTES - 3..=LABEL_BYTES).contains(&id.len());
    let last = if is_truncated { format!("{id}{LAST_CHARACTER}") } else { id.to_owned() };
    let mut query = db.prepare_cached(
        "SELECT id FROM entity INDEXED BY entity_key
         WHERE account = ?1 AND key >= ?2 AND key <= ?3 AND (has_id = 1 OR ?4) LIMIT 100",
    )?;
    let found = query.query_map((account, id, last, names), |row| row.get(0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

fn with_digest(db: &Connection, account: i64, id: &str) -> Result<Vec<i64>> {
    let mut query = db.prepare_cached(
        "SELECT id, key FROM entity INDEXED BY entity_key WHERE account = ?1 AND has_id = 0",
    )?;
    let mut rows = query.query([account])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if key_digest(&row.get::<_, String>(1)?) == id {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

fn key_digest(key: &str) -> String {
    let digest = digest(&SHA256, key.as_bytes());
    let digits = digest.as_ref()[..DIGEST_BYTES].iter().map(|byte| format!("{byte:02x}"));
    format!("{DIGEST_PREFIX}{}", digits.collect::<String>())
}

// === impl StoredEntity ===

impl StoredEntity {
    pub(super) fn find(db: &Connection, entity: i64) -> Result<Self> {
        let mut query = db.prepare_cached("SELECT type, key, has_id, name FROM entity WHERE id = ?1")?;
        let found = query.query_row([entity], |row| {
            Ok(Self { entity_type: row.get(0)?, key: row.get(1)?, has_id: row.get(2)?, name: row.get(3)? })
        });
        Ok(found?)
    }

    /// The name, or the id if there is none or names are not published.
    pub(super) fn label(&self, names: bool) -> String {
        match &self.name {
            Some(name) if names => name.clone(),
            _ => self.id(names),
        }
    }

    /// The id. Without one the name identifies the entity; if it is not published, its digest does.
    pub(super) fn id(&self, names: bool) -> String {
        if self.has_id || names { self.key.clone() } else { key_digest(&self.key) }
    }
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
