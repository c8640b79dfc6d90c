DROP TABLE entity_versions;
DROP TABLE entities;
