-- Who and what is involved is indexed by regions of 2^18 places: new entries then go to few pages, close to each other,
-- however many there are. An index over all places is written all over, a page or two for each entry.
ALTER TABLE audit_entries ADD COLUMN region BIGINT GENERATED ALWAYS AS (place >> 18) VIRTUAL;

DROP INDEX audit_entries_subject;
DROP INDEX audit_entries_resource;
CREATE INDEX audit_entries_subject ON audit_entries (region, subject_id, subject_type);
CREATE INDEX audit_entries_resource ON audit_entries (region, resource_id, resource_type);
