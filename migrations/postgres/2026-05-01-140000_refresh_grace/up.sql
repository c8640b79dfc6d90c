-- With what the successor of a used token is made from the token itself, and a digest of who used it: so that the same
-- successor can be given again where the answer was lost. Neither tells the successor to whoever has not the token.
ALTER TABLE refresh_tokens ADD COLUMN seed BYTEA;
ALTER TABLE refresh_tokens ADD COLUMN used_by BYTEA;
