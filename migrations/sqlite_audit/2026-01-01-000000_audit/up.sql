-- "ACGA": tells this database from that of another application, and from that of the entities.
PRAGMA application_id = 1094928193;

-- One row a log. `next` is the index of the next record to be copied from it.
CREATE TABLE audit_logs (
    id INTEGER NOT NULL PRIMARY KEY,
    origin TEXT NOT NULL UNIQUE,
    next BIGINT NOT NULL
);

-- One row a record. `place` is log * 2^40 + idx: one key for both, in the order in which searches read, and the only
-- one that an index has to repeat.
CREATE TABLE audit_entries (
    place INTEGER NOT NULL PRIMARY KEY,
    log BIGINT GENERATED ALWAYS AS (place >> 40) VIRTUAL,
    idx BIGINT GENERATED ALWAYS AS (place & 0xffffffffff) VIRTUAL,
    leaf BLOB NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    caller TEXT,
    subject_type TEXT,
    subject_id TEXT,
    action TEXT,
    resource_type TEXT,
    resource_id TEXT,
    decision BOOLEAN,
    reason TEXT,
    -- Null where the log is at hand, which has it.
    record TEXT
);

-- Each ends in `place`, as every index of such a table does, so what one of them finds is in order.
CREATE INDEX audit_entries_subject ON audit_entries (subject_id, subject_type);
CREATE INDEX audit_entries_resource ON audit_entries (resource_id, resource_type);
CREATE INDEX audit_entries_action ON audit_entries (action);
CREATE INDEX audit_entries_reason ON audit_entries (reason);
CREATE INDEX audit_entries_decision ON audit_entries (decision);
CREATE INDEX audit_entries_caller ON audit_entries (caller);
-- Nearly every record is a decision: those are found without an index.
CREATE INDEX audit_entries_kind ON audit_entries (kind) WHERE kind <> 'decision';

CREATE TABLE audit_violations (
    principle TEXT NOT NULL,
    place BIGINT NOT NULL,
    log BIGINT GENERATED ALWAYS AS (place >> 40) VIRTUAL,
    idx BIGINT GENERATED ALWAYS AS (place & 0xffffffffff) VIRTUAL,
    PRIMARY KEY (principle, place)
) WITHOUT ROWID;

-- The earliest and the latest time among 4,096 places, in the stead of an index on `at`: exact whatever clocks do, and
-- next to nothing in size.
CREATE TABLE audit_spans (
    block INTEGER NOT NULL PRIMARY KEY,
    earliest BIGINT NOT NULL,
    latest BIGINT NOT NULL
);
