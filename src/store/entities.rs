//! Ids of what tasks are about.
//!
//! An entity is identified by its type and id, or by its type and value if the id is null. Its name is the value that the
//! newest task gives, in whatever order tasks are read.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::Result;
use crate::task::Entity;

/// The entities of one account that a transaction has met.
pub(super) struct Entities {
    account: i64,
    met: HashMap<Key, Named>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    entity_type: Option<String>,
    text: String,
    has_id: bool,
}

/// The id of an entity, and the creation time of the task that named it.
#[derive(Clone, Copy)]
struct Named {
    id: i64,
    named: i64,
}

// === impl Entities ===

impl Entities {
    pub(super) fn new(account: i64) -> Self {
        Self { account, met: HashMap::new() }
    }

    /// The id of the entity of a task created at `created`; none if it has neither id nor value.
    pub(super) fn id(
        &mut self,
        db: &Connection,
        entity: Option<&Entity>,
        created: i64,
    ) -> Result<Option<i64>> {
        let Some((key, name)) = entity.and_then(key) else { return Ok(None) };
        let known = match self.met.get(&key) {
            Some(named) => Some(*named),
            None => find(db, self.account, &key)?,
        };
        let named = match known {
            Some(named) if name.is_none() || created <= named.named => named,
            Some(Named { id, .. }) => {
                rename(db, id, name, created)?;
                Named { id, named: created }
            }
            None => {
                let named = if name.is_some() { created } else { i64::MIN };
                Named { id: insert(db, self.account, &key, name, named)?, named }
            }
        };
        self.met.insert(key, named);
        Ok(Some(named.id))
    }
}

fn key(entity: &Entity) -> Option<(Key, Option<&str>)> {
    let (id, name) =
        (entity.id.as_ref().map(|id| id.as_str()), entity.name.as_ref().map(|name| name.as_str()));
    let text = id.or(name)?.to_owned();
    let entity_type = entity.entity_type.as_ref().map(|word| word.as_str().to_owned());
    Some((Key { entity_type, text, has_id: id.is_some() }, name))
}

fn find(db: &Connection, account: i64, key: &Key) -> Result<Option<Named>> {
    let mut query = db.prepare_cached(
        "SELECT id, named FROM entity
         WHERE account = ?1 AND key = ?2 AND has_id = ?3 AND coalesce(type, '') = coalesce(?4, '')",
    )?;
    let found = query.query_row((account, &key.text, key.has_id, &key.entity_type), |row| {
        Ok(Named { id: row.get(0)?, named: row.get(1)? })
    });
    Ok(found.optional()?)
}

fn insert(db: &Connection, account: i64, key: &Key, name: Option<&str>, named: i64) -> Result<i64> {
    let mut insert = db.prepare_cached(
        "INSERT INTO entity (account, type, key, has_id, name, named) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    Ok(insert.insert((account, &key.entity_type, &key.text, key.has_id, name, named))?)
}

fn rename(db: &Connection, id: i64, name: Option<&str>, named: i64) -> Result<()> {
    let mut update = db.prepare_cached(
        "UPDATE entity SET name = ?2, named = ?3 WHERE id = ?1 AND (name IS NOT ?2 OR named <> ?3)",
    )?;
    update.execute((id, name, named))?;
    Ok(())
}
