"""The shared budget: the pure ledger, the lease books of a process, and what a store must do."""
