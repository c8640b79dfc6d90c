DROP INDEX clients_maker;
DROP INDEX users_maker;
ALTER TABLE clients DROP COLUMN made_by;
ALTER TABLE users DROP COLUMN made_by;
