"""The adapter to MLflow's model registry: versions, aliases, the ledger, and transactions that survive a kill."""
