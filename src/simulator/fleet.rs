//! What the simulated account protects: classes of assets, how often each is backed up, and how long that takes.
//!
//! The table is the only place with the vendor's words for kinds of tasks. Shares and durations are made up,
//! but of the right order: log backups are short and many, seedings are few and run for hours to days.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::chance::uuid;
use super::task::{Entity, Kind, Subject};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A sort of work and how long it takes.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) kind: Arc<Kind>,
    /// The median, in seconds.
    pub(super) median: f64,
    /// See [`super::chance::log_normal`].
    pub(super) spread: f64,
}

/// Assets that are protected in the same way.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) entity_type: &'static str,
    home: Home,
    /// The part of all tasks that this class causes by its schedule, in thousandths.
    share: u64,
    /// The time between two backups.
    pub(super) every: Duration,
    pub(super) backup: Work,
    pub(super) seeding: Option<Work>,
    pub(super) indexing: Option<Work>,
}

/// Where assets of a class belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    Aws,
    Microsoft365,
    Gcp,
}

/// The homes that there are: an account has far fewer of them than assets.
#[derive(Debug)]
struct Homes([(Home, Arc<Entity>); 5]);

/// One protected asset.
#[derive(Debug)]
pub(super) struct Asset {
    /// An index of [`Fleet::classes`].
    pub(super) class: usize,
    pub(super) subject: Arc<Subject>,
}

/// Everything that is protected, and the work that nobody scheduled.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) classes: Vec<Class>,
    pub(super) assets: Vec<Asset>,
    homes: Homes,
    /// Restores, each with the type of the asset that it restores.
    pub(super) restores: Vec<(&'static str, Work)>,
    /// Administrative work.
    pub(super) errands: Vec<Work>,
}

// === impl Work ===

impl Work {
    fn new(category: &'static str, task_type: &'static str, median: f64, spread: f64) -> Self {
        Self { kind: Arc::new(Kind::new(category, task_type)), median, spread }
    }
}

// === impl Class ===

impl Class {
    fn new(entity_type: &'static str, home: Home, share: u64, every: Duration, backup: Work) -> Self {
        Self { entity_type, home, share, every, backup, seeding: None, indexing: None }
    }

    fn seeded(mut self, task_type: &'static str, median: f64) -> Self {
        self.seeding = Some(Work::new("backup", task_type, median, 1.2));
        self
    }

    fn indexed(mut self, task_type: &'static str, median: f64) -> Self {
        self.indexing = Some(Work::new("system", task_type, median, 1.0));
        self
    }

    /// How many assets of this class cause their share of `tasks_per_day`.
    fn size(&self, tasks_per_day: u32) -> u64 {
        let per_backup = if self.indexing.is_some() { 2 } else { 1 };
        let tasks_in_a_thousand_days = u64::from(tasks_per_day) * self.share;
        let per_asset = 1000 * per_backup * DAY.as_secs();
        (tasks_in_a_thousand_days * self.every.as_secs() + per_asset / 2) / per_asset
    }

    fn subject(&self, homes: &Homes, rng: &mut Rng) -> Subject {
        let number = rng.u64(..);
        let value = match self.entity_type {
            "aws_ebs_volume" => format!("vol-{number:017x}"),
            "aws_ec2_instance" => format!("i-{number:017x}"),
            "microsoft365_mailbox" => format!("user.{}@example.com", number % 1_000_000),
            "microsoft365_domain" => format!("tenant{}.example.com", number % 1000),
            other => format!("{}-{:06}", other.rsplit('_').next().unwrap_or(other), number % 1_000_000),
        };
        let primary = Entity { id: uuid(rng), entity_type: self.entity_type, value };
        Subject { primary: Some(primary), parent: Some(homes.one(self.home, number)) }
    }
}

// === impl Homes ===

impl Homes {
    fn new(rng: &mut Rng) -> Self {
        let homes = [
            (Home::Aws, "aws_environment", "891106093485/us-west-2"),
            (Home::Aws, "aws_environment", "891106093485/us-east-1"),
            (Home::Aws, "aws_environment", "310442758120/us-west-2"),
            (Home::Microsoft365, "microsoft365_domain", "example.com"),
            (Home::Gcp, "gcp_project", "example-project"),
        ];
        Self(homes.map(|(home, entity_type, value)| {
            (home, Arc::new(Entity { id: uuid(rng), entity_type, value: value.to_owned() }))
        }))
    }

    /// One that is such a home, always the same for a `number`.
    fn one(&self, home: Home, number: u64) -> Arc<Entity> {
        let which = usize::try_from(number % 3).expect("a remainder must be an index");
        let mut such = self.0.iter().filter(|(other, _)| *other == home).cycle();
        such.nth(which).map(|(_, entity)| Arc::clone(entity)).expect("there must be a home of every sort")
    }
}

// === impl Fleet ===

impl Fleet {
    /// The part of all tasks that are restores, in thousandths.
    pub(super) const RESTORES: u32 = 30;
    /// The part of all tasks that are errands, in thousandths.
    pub(super) const ERRANDS: u32 = 20;

    /// A fleet that causes about `tasks_per_day`.
    pub(super) fn new(tasks_per_day: u32, rng: &mut Rng) -> Self {
        let (classes, homes) = (classes(), Homes::new(rng));
        let mut assets = Vec::new();
        for (class, of) in classes.iter().enumerate() {
            let new = (0..of.size(tasks_per_day)).map(|_| Arc::new(of.subject(&homes, rng)));
            assets.extend(new.map(|subject| Asset { class, subject }));
        }
        Self { classes, assets, homes, restores: restores(), errands: errands() }
    }

    /// Replaces an asset by a new one of its class.
    pub(super) fn replace(&mut self, asset: usize, rng: &mut Rng) {
        let class = self.assets[asset].class;
        self.assets[asset].subject = Arc::new(self.classes[class].subject(&self.homes, rng));
    }

    /// What a restore that targets assets of `entity_type` is about: one of them, or, where the fleet has
    /// none or a file is restored, something that is not protected itself.
    pub(super) fn restored(&self, entity_type: &'static str, rng: &mut Rng) -> Arc<Subject> {
        let of_type = |asset: &&Asset| self.classes[asset.class].entity_type == entity_type;
        // A few tries find one of a class of any size; a scan of a large fleet for each restore would not pay.
        let found = (0..8).filter_map(|_| rng.choice(self.assets.iter())).find(of_type);
        found.map_or_else(
            || {
                let primary =
                    Entity { id: uuid(rng), entity_type, value: format!("/srv/data/{}", rng.u16(..)) };
                Arc::new(Subject {
                    primary: Some(primary),
                    parent: Some(self.homes.one(Home::Aws, rng.u64(..))),
                })
            },
            |asset| Arc::clone(&asset.subject),
        )
    }
}

fn classes() -> Vec<Class> {
    let backup = |task_type, median, spread| Work::new("backup", task_type, median, spread);
    vec![
        Class::new(
            "aws_ebs_volume",
            Home::Aws,
            380,
            DAY,
            backup("aws_ebs_volume_incremental_backup", 240.0, 1.1),
        )
        .seeded("aws_ebs_volume_backup_seeding", 21_600.0)
        .indexed("aws_ebs_volume_backup_indexing", 90.0),
        Class::new("aws_ec2_instance", Home::Aws, 140, DAY, backup("aws_ec2_instance_backup", 420.0, 1.1))
            .indexed("aws_ec2_instance_backup_indexing", 120.0),
        Class::new(
            "microsoft365_mailbox",
            Home::Microsoft365,
            240,
            DAY,
            backup("microsoft365_mailbox_backup", 45.0, 1.0),
        )
        .seeded("microsoft365_mailbox_seeding", 7200.0),
        Class::new(
            "aws_rds_cluster",
            Home::Aws,
            40,
            DAY,
            Work::new("snapshot", "aws_rds_resource_aws_snapshot", 600.0, 0.8),
        ),
        Class::new("aws_dynamodb_table", Home::Aws, 50, DAY, backup("aws_dynamodb_table_backup", 300.0, 1.0)),
        Class::new("protection_group", Home::Aws, 20, DAY, backup("protection_group_backup", 3600.0, 1.0)),
        Class::new(
            "gcp_protection_group",
            Home::Gcp,
            10,
            DAY,
            backup("gcp_protection_group_backup", 3000.0, 1.0),
        ),
        Class::new("ec2_mssql_database", Home::Aws, 20, DAY, backup("ec2_mssql_database_backup", 900.0, 0.9)),
        Class::new("ec2_mssql_database", Home::Aws, 40, HOUR / 2, backup("ec2_mssql_log_backup", 12.0, 0.7)),
        Class::new(
            "microsoft365_domain",
            Home::Microsoft365,
            10,
            HOUR * 4,
            Work::new("system", "microsoft365_inventory_sync", 180.0, 0.8),
        ),
    ]
}

fn restores() -> Vec<(&'static str, Work)> {
    vec![
        ("aws_ebs_volume", Work::new("restore", "aws_ebs_volume_restore", 1200.0, 1.0)),
        ("restored_file", Work::new("restore", "aws_ebs_volume_file_restore", 90.0, 1.0)),
        ("microsoft365_mailbox", Work::new("restore", "microsoft365_mail_restore", 150.0, 1.0)),
        ("aws_rds_cluster", Work::new("snapshot_restore", "aws_rds_resource_restore", 1500.0, 0.8)),
    ]
}

fn errands() -> Vec<Work> {
    vec![
        Work::new("report_generation", "activity_report_file_download", 8.0, 0.8),
        Work::new("management", "policy_update", 4.0, 0.6),
        Work::new("management", "organizational_unit_update", 5.0, 0.6),
        Work::new("system", "aws_rds_backup_target_setup", 60.0, 0.8),
    ]
}
