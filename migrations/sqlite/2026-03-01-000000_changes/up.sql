-- What each version changed, for as long as somebody may not know it yet. The kind is `entity`, or `callers` for anything
-- about those who may call.
CREATE TABLE changes (
    version BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    type TEXT,
    id TEXT
);

-- What values are sealed with that are kept outside, the newest last. A secret: who has it can forge verdicts.
CREATE TABLE cache_keys (
    id INTEGER NOT NULL PRIMARY KEY,
    secret BLOB NOT NULL
);
