"""One database: what its catalogs say, and how two states of it differ."""
