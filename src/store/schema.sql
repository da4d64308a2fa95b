-- Version 6. Times are microseconds since 1970 (UTC); durations are microseconds.

-- The tables `account`, `kind`, `unknown_status` and `series` hold what the API cannot tell again, so each of their rows has
-- a checksum over its other columns.

CREATE TABLE account (
    id                  INTEGER PRIMARY KEY,
    name                TEXT UNIQUE, -- NULL: retired; its rows are removed in the background
    base_url            TEXT NOT NULL,
    organizational_unit TEXT NOT NULL,
    state               TEXT NOT NULL, -- JSON: marks in time, progress of the initial sync, totals
    series              INTEGER NOT NULL, -- rows in `series`
    checksum            INTEGER NOT NULL
) STRICT;

-- A pair of category and type that has series of its own. What is beyond the limits is stored as `other`.
CREATE TABLE kind (
    id       INTEGER PRIMARY KEY,
    account  INTEGER NOT NULL,
    category TEXT NOT NULL,
    type     TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (account, category, type)
) STRICT;

-- Statuses that this version does not know; the ids 0 to 5 are the known ones.
CREATE TABLE unknown_status (
    id       INTEGER PRIMARY KEY,
    account  INTEGER NOT NULL,
    word     TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (account, word)
) STRICT;

-- What tasks are about. The key is the API's id, or the value if the id is null; the name is that of the newest task.
CREATE TABLE entity (
    id      INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    type    TEXT, -- NULL if the API names none
    key     TEXT NOT NULL,
    has_id  INTEGER NOT NULL,
    name    TEXT,
    named   INTEGER NOT NULL, -- creation of the task that gave the name
    is_parent INTEGER NOT NULL DEFAULT 0 -- whether a task had it as its parent: it is never removed then
) STRICT;
CREATE UNIQUE INDEX entity_key ON entity (account, key, has_id, coalesce(type, ''));

-- The replica of the task list.
CREATE TABLE task (
    account INTEGER NOT NULL,
    id      ANY NOT NULL, -- an integer if it prints back identically, else text
    kind    INTEGER NOT NULL,
    status  INTEGER NOT NULL,
    phase   INTEGER NOT NULL, -- 0 open, 1 provisional, 2 ended, 3 vanished
    created INTEGER NOT NULL,
    started INTEGER,
    ended   INTEGER,
    ended_by INTEGER, -- `ended`, or the T that first saw it if that is earlier: the order of ends
    entity  INTEGER,
    parent  INTEGER,
    flags   INTEGER NOT NULL, -- see merge.rs
    since   INTEGER, -- elapsed time since which it is missing, provisional or vanished
    missing INTEGER, -- polls in which it was missing
    progress INTEGER, -- percent done, of tasks that have been open for an hour
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
-- Queries repeat the conditions of partial indexes, because SQLite uses them only then, and name the index: without
-- statistics, the planner may prefer a scan of the whole account.
CREATE INDEX task_created ON task (account, created);
CREATE INDEX task_undated ON task (account, created) WHERE flags & 1 = 0; -- the API has given no creation
CREATE INDEX task_ended ON task (kind, status, ended) WHERE ended IS NOT NULL;
CREATE INDEX task_followed ON task (account, phase, kind, status, created) WHERE phase <> 2;
CREATE INDEX task_failed ON task (account, ended) WHERE ended IS NOT NULL AND status <> 3;
CREATE INDEX task_asset ON task (entity, kind, status, ended_by, created, account, id, phase, parent)
    WHERE entity IS NOT NULL; -- see assets/groups.rs

-- A type of assets that has series of its own. What is beyond the limit is stored as `other`.
CREATE TABLE asset_type (
    id       INTEGER PRIMARY KEY,
    account  INTEGER NOT NULL,
    category TEXT NOT NULL,
    type     TEXT NOT NULL,
    UNIQUE (account, category, type)
) STRICT;

-- What the tasks of an asset amount to: derived from the rows of `task`, never the other way around (see assets/mod.rs).
CREATE TABLE asset (
    account       INTEGER NOT NULL,
    entity        INTEGER NOT NULL,
    category      TEXT NOT NULL,
    asset_type    INTEGER NOT NULL,
    parent        INTEGER,
    completed     INTEGER, -- last completion
    since         INTEGER NOT NULL, -- unprotected since
    objective     INTEGER NOT NULL, -- see assets/objective.rs
    late_from     INTEGER NOT NULL, -- late after it
    attempted     INTEGER NOT NULL, -- whether there was an attempt since the last completion
    failing_since INTEGER,
    newest_change INTEGER NOT NULL, -- last creation or end of a task; the maximum while one has not ended
    settled_before INTEGER NOT NULL, -- a row that was created and ended before it, and did not fail, changes nothing
    kept          INTEGER NOT NULL DEFAULT 0, -- whether rows are kept that are older than the retention
    named_failing INTEGER NOT NULL DEFAULT 0,
    named_late    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, entity, category)
) STRICT, WITHOUT ROWID;

-- The types in which an asset is failing.
CREATE TABLE asset_failure (
    account  INTEGER NOT NULL,
    entity   INTEGER NOT NULL,
    category TEXT NOT NULL,
    kind     INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    PRIMARY KEY (account, entity, category, kind)
) STRICT, WITHOUT ROWID;

-- Counters and histograms with their holds (see series.rs).
CREATE TABLE series (
    kind       INTEGER NOT NULL,
    family     INTEGER NOT NULL, -- 0 created, 1 ended, 2 run duration, 3 queue duration
    status     INTEGER NOT NULL, -- -1 in families without a status
    value      TEXT NOT NULL, -- JSON: a number or a histogram
    published  TEXT, -- what is published while the series is held; NULL: the value
    held_since INTEGER, -- elapsed time since which it is published like that; NULL: not yet published
    checksum   INTEGER NOT NULL,
    PRIMARY KEY (kind, family, status)
) STRICT, WITHOUT ROWID;

-- Segments of the covered past, by their first creation time; each ends where the next begins.
CREATE TABLE segment (
    account    INTEGER NOT NULL,
    start      INTEGER NOT NULL,
    difference INTEGER NOT NULL, -- API count minus replica count, when it was last audited
    skipped    INTEGER NOT NULL, -- rows of it without id or status
    audited    INTEGER NOT NULL, -- elapsed time of the last audit
    PRIMARY KEY (account, start)
) STRICT, WITHOUT ROWID;
