DROP TABLE audit_spans;
DROP TABLE audit_violations;
DROP TABLE audit_entries;
DROP TABLE audit_logs;
