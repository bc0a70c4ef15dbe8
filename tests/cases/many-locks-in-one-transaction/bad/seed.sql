INSERT INTO books SELECT FROM generate_series(1, 20);
INSERT INTO films SELECT FROM generate_series(1, 20);
INSERT INTO games SELECT FROM generate_series(1, 20);
INSERT INTO plays SELECT FROM generate_series(1, 20);
INSERT INTO songs SELECT FROM generate_series(1, 20);
INSERT INTO tales SELECT FROM generate_series(1, 20);
ANALYZE books, films, games, plays, songs, tales;
