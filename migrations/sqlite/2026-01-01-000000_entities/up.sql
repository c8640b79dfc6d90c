-- "ACGS": tells this database from that of another application.
PRAGMA application_id = 1094928211;

CREATE TABLE entities (
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    attrs TEXT NOT NULL,
    parents TEXT NOT NULL,
    tags TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (type, id)
);

-- One row: the newest version given out in the whole store. Removing an entity does not lower it.
CREATE TABLE entity_versions (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    newest BIGINT NOT NULL
);

INSERT INTO entity_versions (one, newest) VALUES (1, 0);
