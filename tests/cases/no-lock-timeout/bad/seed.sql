INSERT INTO users (name, visits) SELECT 'user ' || n, n FROM generate_series(1, 50) n;
ANALYZE users;
