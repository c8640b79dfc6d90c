ALTER TABLE assertions DROP COLUMN due;
ALTER TABLE ended_tokens DROP COLUMN due;
DROP TABLE uptime;
