"""Where ledgers live: memory (one process), sqlite (one host), redis (a fleet)."""
