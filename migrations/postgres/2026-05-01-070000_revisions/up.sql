-- A version names a state of the database only together with the incarnation of the database and the nonce of the change:
-- a database that was restored, or failed over, gives the versions that it lost to other changes.
ALTER TABLE entity_versions ADD COLUMN incarnation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE entity_versions ADD COLUMN nonce BIGINT NOT NULL DEFAULT 0;
ALTER TABLE changes ADD COLUMN nonce BIGINT NOT NULL DEFAULT 0;
UPDATE entity_versions SET
    incarnation = ('x' || left(md5(gen_random_uuid()::text), 16))::bit(64)::bigint,
    nonce = ('x' || left(md5(gen_random_uuid()::text), 16))::bit(64)::bigint;

-- The newest version has a row, whatever changed with it. The kind `other` is something that no cache depends on.
INSERT INTO changes (version, kind, nonce) SELECT newest, 'other', nonce FROM entity_versions WHERE true
ON CONFLICT (version) DO UPDATE SET nonce = excluded.nonce;
