//! Assets whose backups fail until they recover: `POST /simulator/fail` and `POST /simulator/recover`, to try out alerts.
//!
//! Each runs a backup at once, without waiting for the schedule. These two requests never fail on demand, and the
//! simulator does not count them.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::Simulator;
use super::task::{Outcome, Subject, Task};
use super::world::World;
use crate::time::Timestamp;

/// Which asset is to fail. With several of these, all must match.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetQuery {
    /// The type of the asset.
    pub asset_type: Option<String>,
    /// The id of the asset.
    pub asset_id: Option<String>,
    /// The name of the asset.
    pub asset: Option<String>,
}

/// An asset that fails or recovers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenAsset {
    /// Its type.
    pub asset_type: &'static str,
    /// Its id.
    pub asset_id: String,
    /// Its name.
    pub asset: String,
}

type Reply = (StatusCode, String);

/// `POST /simulator/fail`.
pub(super) async fn fail(State(simulator): State<Simulator>, Query(query): Query<AssetQuery>) -> Reply {
    match simulator.fail(&query) {
        Ok(broken) => (StatusCode::OK, format!("{broken} fails until POST /simulator/recover\n")),
        Err(reason) => (StatusCode::BAD_REQUEST, format!("{reason}\n")),
    }
}

/// `POST /simulator/recover`.
pub(super) async fn recover(State(simulator): State<Simulator>) -> Reply {
    let recovered = simulator.recover();
    let lines = recovered.iter().map(|asset| format!("{asset} completes again\n"));
    let text = if recovered.is_empty() { "no asset fails on request\n".to_owned() } else { lines.collect() };
    (StatusCode::OK, text)
}

// === impl Simulator ===

impl Simulator {
    /// Makes the backups of an asset fail until [`recover`](Self::recover), the first of them at once.
    ///
    /// # Errors
    /// When there is no such asset: which ones there are.
    pub fn fail(&self, query: &AssetQuery) -> Result<BrokenAsset, String> {
        let now = self.now();
        let mut world = self.world_at(now);
        let asset = choose(&mut world, query)?;
        let broken = describe(&mut world, asset).ok_or("the asset has no entity")?;
        fail_open(&mut world, &broken.asset_id, now);
        world.schedule().failing.insert(asset);
        let task = world.schedule().run_now(asset, whole_second(now), Outcome::Failed);
        world.add(task);
        Ok(broken)
    }

    /// Makes the backups of all failing assets complete again, the first of them at once; gives the assets.
    #[expect(clippy::must_use_candidate, reason = "it is called for its effect")]
    pub fn recover(&self) -> Vec<BrokenAsset> {
        let now = self.now();
        let mut world = self.world_at(now);
        let failing = std::mem::take(&mut world.schedule().failing);
        let mut recovered = Vec::new();
        for asset in failing {
            recovered.extend(describe(&mut world, asset));
            let task = world.schedule().run_now(asset, whole_second(now), Outcome::Completed);
            world.add(task);
        }
        recovered
    }
}

/// The first asset that matches; of those the first whose last backup completed, so that a failure is news.
fn choose(world: &mut World, query: &AssetQuery) -> Result<usize, String> {
    let fleet = world.schedule().fleet();
    let is_protected =
        |class: usize| ["backup", "snapshot"].contains(&&*fleet.classes[class].backup.kind.category);
    if query.asset_type.is_none() && query.asset_id.is_none() && query.asset.is_none() {
        let mut types: Vec<_> = (0..fleet.classes.len()).filter(|class| is_protected(*class)).collect();
        types.dedup_by_key(|class| fleet.classes[*class].entity_type);
        let types: Vec<_> = types.into_iter().map(|class| fleet.classes[class].entity_type).collect();
        return Err(format!(
            "write ?asset_type=TYPE, ?asset_id=ID or ?asset=NAME; types are {}",
            types.join(", ")
        ));
    }
    let is = |asked: &Option<String>, value: &str| asked.as_ref().is_none_or(|asked| asked == value);
    let matches = |subject: &Subject| {
        subject.primary.as_ref().is_some_and(|entity| {
            is(&query.asset_type, entity.entity_type)
                && is(&query.asset_id, &entity.id)
                && is(&query.asset, &entity.value)
        })
    };
    let assets = fleet.assets.iter().enumerate();
    let matching = assets.filter(|(_, asset)| is_protected(asset.class) && matches(&asset.subject));
    let matching: Vec<_> = matching
        .map(|(index, asset)| (index, asset.subject.primary.as_ref().map(|entity| entity.id.clone())))
        .collect();
    let outcomes = last_outcomes(world);
    let completed = matching
        .iter()
        .find(|(_, id)| id.as_ref().and_then(|id| outcomes.get(id.as_str())) == Some(&Outcome::Completed));
    let chosen = completed.or(matching.first()).map(|(index, _)| *index);
    chosen.ok_or_else(|| {
        "there is no such asset; POST /simulator/fail without parameters for the types".to_owned()
    })
}

/// How the newest task of each entity ends, by its id.
fn last_outcomes(world: &World) -> HashMap<&str, Outcome> {
    let tasks = world.all().filter(|task| ["backup", "snapshot"].contains(&&*task.kind.category));
    tasks.filter_map(|task| Some((task.subject.primary.as_ref()?.id.as_str(), task.outcome))).collect()
}

/// Open tasks of the entity fail as well: one that completed later would resolve the failure.
fn fail_open(world: &mut World, id: &str, now: Timestamp) {
    let is_open = |task: &&Task| {
        let is_same = task.subject.primary.as_ref().is_some_and(|entity| entity.id == id);
        is_same && task.state(now).is_open()
    };
    let open: Vec<_> = world.all().filter(is_open).cloned().collect();
    for task in open {
        let started = task.started.filter(|started| *started <= now);
        let task = Task { started, aborting: None, ..task };
        world.add(task.ended(whole_second(now), Outcome::Failed));
    }
}

fn describe(world: &mut World, asset: usize) -> Option<BrokenAsset> {
    let entity = world.schedule().fleet().assets.get(asset)?.subject.primary.as_ref()?;
    Some(BrokenAsset {
        asset_type: entity.entity_type,
        asset_id: entity.id.clone(),
        asset: entity.value.clone(),
    })
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

// === impl BrokenAsset ===

impl std::fmt::Display for BrokenAsset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} (id {})", self.asset_type, self.asset, self.asset_id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Options;
    use super::*;
    use crate::time::later;

    fn of_type(asset_type: &str) -> AssetQuery {
        AssetQuery { asset_type: Some(asset_type.to_owned()), ..AssetQuery::default() }
    }

    /// The outcomes of the backups of an asset that are listed at `at`, oldest first.
    fn outcomes(simulator: &Simulator, id: &str, at: Timestamp) -> Vec<&'static str> {
        let world = simulator.world_at(at);
        let is_of_asset = |task: &&Task| task.subject.primary.as_ref().is_some_and(|entity| entity.id == id);
        let backups = world.all().filter(is_of_asset).filter(|task| task.kind.category == "backup");
        backups.map(|task| task.state(at).word()).collect()
    }

    #[test]
    fn an_asset_fails_at_once_and_by_schedule_until_it_recovers() {
        let simulator = Simulator::new(Options { tasks_per_day: 500, ..Options::default() });
        let start = simulator.now();
        simulator.set_clock(start);
        let broken = simulator.fail(&of_type("aws_ebs_volume")).expect("there must be such an asset");
        assert_eq!(broken.asset_type, "aws_ebs_volume");
        let (soon, later_on) =
            (later(start, Duration::from_secs(3)), later(start, Duration::from_hours(100)));
        let before = outcomes(&simulator, &broken.asset_id, soon);
        assert_eq!(before.last(), Some(&"failed"), "{before:?}");
        assert_eq!(before[before.len() - 2], "completed", "the failure must be news");
        simulator.set_clock(later_on);
        let during = outcomes(&simulator, &broken.asset_id, later_on);
        assert!(during.len() >= before.len() + 2, "{during:?}");
        assert!(during[before.len()..].iter().all(|word| *word != "completed"), "{during:?}");
        assert_eq!(simulator.recover(), vec![broken.clone()]);
        let after = outcomes(&simulator, &broken.asset_id, later(later_on, Duration::from_secs(3)));
        assert_eq!(after.last(), Some(&"completed"), "{after:?}");
        assert_eq!(simulator.recover(), vec![]);
    }

    #[test]
    fn an_asset_is_found_by_type_id_and_name_alone() {
        let simulator = Simulator::new(Options { tasks_per_day: 500, ..Options::default() });
        let broken = simulator.fail(&of_type("microsoft365_mailbox")).expect("there must be such an asset");
        let by_id = AssetQuery { asset_id: Some(broken.asset_id.clone()), ..AssetQuery::default() };
        assert_eq!(simulator.fail(&by_id), Ok(broken.clone()));
        let by_name = AssetQuery { asset: Some(broken.asset.clone()), ..of_type("microsoft365_mailbox") };
        assert_eq!(simulator.fail(&by_name), Ok(broken));
        assert!(simulator.fail(&of_type("microsoft365_domain")).is_err(), "nothing backs it up");
        let help = simulator.fail(&AssetQuery::default()).expect_err("nothing is asked for");
        assert!(help.contains("aws_ebs_volume, aws_ec2_instance, microsoft365_mailbox"), "{help}");
    }
}
