"""The Neon API v2, seen from outside: the client, what it answers, and when to ask again."""
