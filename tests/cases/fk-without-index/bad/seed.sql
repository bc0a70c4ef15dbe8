INSERT INTO users SELECT FROM generate_series(1, 20);
INSERT INTO orders (user_id) SELECT n FROM generate_series(1, 20) n;
ANALYZE users, orders;
