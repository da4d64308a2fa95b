//! Layers of configuration, laid over one another by the `config` crate; each value remembers its origin.
//!
//! A layer is always tables of values, two levels deep. The crate's merge reads a name at the top level as a path
//! (`"poll.interval"`, `"accounts[0]"`) and lets a table silently replace a value: what could reach either never
//! gets here, because the file and the environment set it aside first.

use std::collections::BTreeMap;

use config::{Config, ConfigError, Map, Source, Value, ValueKind};

/// One layer, already read.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

/// A layer of these values, each given as table, key and value.
pub(super) fn layer(values: impl IntoIterator<Item = (String, String, Value)>) -> Map<String, Value> {
    let mut tables: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (table, key, value) in values {
        tables.entry(table).or_default().insert(key, value);
    }
    tables.into_iter().map(|(name, table)| (name, Value::new(None, ValueKind::Table(table)))).collect()
}

/// The layers as one tree, later ones over earlier ones.
pub(super) fn merge(layers: impl IntoIterator<Item = Map<String, Value>>) -> BTreeMap<String, Value> {
    let builder = layers.into_iter().fold(Config::builder(), |all, layer| all.add_source(Layer(layer)));
    let merged = builder.build().expect("layers that are already read must merge");
    match merged.cache.kind {
        ValueKind::Table(table) => table.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

// === impl Layer ===

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}
