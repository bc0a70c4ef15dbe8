"""An existing Postgres that the local parent is filled from: looked at, then copied; it is only ever read."""
