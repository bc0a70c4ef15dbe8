"""A branch that is always given back: names, the ledger, the lease itself, and the sweep of what others left."""
