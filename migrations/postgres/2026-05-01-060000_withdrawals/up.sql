-- One row: for how many seconds daemons have run on this database, all that run at once counted once, and what the wall
-- clock said when that was stored last. Unlike the wall clock it never goes back and never jumps.
CREATE TABLE uptime (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    seconds BIGINT NOT NULL,
    wall BIGINT NOT NULL
);

INSERT INTO uptime (one, seconds, wall) VALUES (1, 0, 0);

-- The uptime before which a row is not removed, whatever the wall clock says. What is there already counts as new.
ALTER TABLE ended_tokens ADD COLUMN due BIGINT NOT NULL DEFAULT 86520;
ALTER TABLE assertions ADD COLUMN due BIGINT NOT NULL DEFAULT 86520;
