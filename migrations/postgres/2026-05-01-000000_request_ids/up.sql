-- The id of the request that asked for a decision. Records of earlier versions have none.
ALTER TABLE audit_entries ADD COLUMN request_id TEXT COLLATE "C";
CREATE INDEX audit_entries_request ON audit_entries (request_id, place) WHERE request_id IS NOT NULL;
