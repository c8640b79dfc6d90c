DROP INDEX audit_entries_subject;
DROP INDEX audit_entries_resource;
ALTER TABLE audit_entries DROP COLUMN region;
CREATE INDEX audit_entries_subject ON audit_entries (subject_id, subject_type);
CREATE INDEX audit_entries_resource ON audit_entries (resource_id, resource_type);
