DROP TABLE cache_keys;
DROP TABLE changes;
