//! Which kinds of tasks protect assets, and the types of assets that have series of their own.
//!
//! What a type is stored as is decided when it is first seen. Beyond `limits.max_asset_types` it is `other`.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::Connection;

use super::super::{Result, Rules, labels};
use crate::task::Label;

/// The kinds of an account that protect assets, for one transaction.
pub(in super::super) struct AssetKinds {
    kinds: HashMap<i64, AssetKind>,
}

/// A kind of tasks that protect assets.
#[derive(Debug, Clone)]
pub(super) struct AssetKind {
    pub(super) category: Label,
    pub(super) task_type: Label,
    /// Whether any later completion in the category resolves a failure.
    pub(super) is_seeding: bool,
}

/// The types of assets of an account, for one transaction.
pub(super) struct AssetTypes {
    account: i64,
    max: usize,
    ids: HashMap<(Label, Label), i64>,
    own: HashSet<Label>,
}

// === impl AssetKinds ===

impl AssetKinds {
    pub(in super::super) fn load(db: &Connection, account: i64, rules: &Rules) -> Result<Self> {
        let kinds = labels::kinds(db, account)?.into_iter();
        let kinds = kinds.filter(|(_, category, _)| rules.assets.categories.contains(category));
        let kinds = kinds.map(|(id, category, task_type)| {
            let is_seeding = task_type.as_str().contains("seeding");
            (id, AssetKind { category, task_type, is_seeding })
        });
        Ok(Self { kinds: kinds.collect() })
    }

    pub(super) fn get(&self, kind: i64) -> Option<&AssetKind> {
        self.kinds.get(&kind)
    }

    /// The category of a kind; none if its tasks protect no assets.
    pub(super) fn category(&self, kind: i64) -> Option<&Label> {
        Some(&self.kinds.get(&kind)?.category)
    }
}

// === impl AssetTypes ===

impl AssetTypes {
    pub(super) fn load(db: &Connection, account: i64, rules: &Rules) -> Result<Self> {
        let mut types =
            Self { account, max: rules.max_asset_types, ids: HashMap::new(), own: HashSet::new() };
        for (id, (category, asset_type)) in asset_types(db, account)? {
            types.note(id, category, asset_type);
        }
        Ok(types)
    }

    /// The id of the type under which an asset is stored.
    pub(super) fn id(&mut self, db: &Connection, category: &Label, asset_type: &Label) -> Result<i64> {
        let has_room = self.own.contains(asset_type) || self.own.len() < self.max;
        let key = (category.clone(), if has_room { asset_type.clone() } else { Label::other() });
        if let Some(id) = self.ids.get(&key) {
            return Ok(*id);
        }
        let mut insert =
            db.prepare_cached("INSERT INTO asset_type (account, category, type) VALUES (?1, ?2, ?3)")?;
        let id = insert.insert((self.account, key.0.as_str(), key.1.as_str()))?;
        self.note(id, key.0, key.1);
        Ok(id)
    }

    fn note(&mut self, id: i64, category: Label, asset_type: Label) {
        if asset_type != Label::other() {
            self.own.insert(asset_type.clone());
        }
        self.ids.insert((category, asset_type), id);
    }
}

/// The types of assets of an account with their ids.
pub(super) fn asset_types(db: &Connection, account: i64) -> Result<BTreeMap<i64, (Label, Label)>> {
    let mut query = db.prepare_cached("SELECT id, category, type FROM asset_type WHERE account = ?1")?;
    let rows = query.query_map([account], |row| {
        Ok((row.get(0)?, (Label::new(row.get_ref(1)?.as_str()?), Label::new(row.get_ref(2)?.as_str()?))))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
