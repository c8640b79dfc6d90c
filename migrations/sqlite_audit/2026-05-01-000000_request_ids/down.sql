DROP INDEX audit_entries_request;
ALTER TABLE audit_entries DROP COLUMN request_id;
