-- Who made a user or a client, as records name callers; not known of those that were made before.
ALTER TABLE users ADD COLUMN made_by TEXT COLLATE "C";
ALTER TABLE clients ADD COLUMN made_by TEXT COLLATE "C";
CREATE INDEX users_maker ON users (made_by);
CREATE INDEX clients_maker ON clients (made_by);
