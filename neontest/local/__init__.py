"""A Neon of one's own: real Postgres on this machine, a cluster per branch, behind the Neon API."""
