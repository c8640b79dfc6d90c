DELETE FROM changes WHERE kind = 'other';
ALTER TABLE changes DROP COLUMN nonce;
ALTER TABLE entity_versions DROP COLUMN nonce;
ALTER TABLE entity_versions DROP COLUMN incarnation;
