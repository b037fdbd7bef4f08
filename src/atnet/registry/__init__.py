"""The door to MLflow's model registry: versions, aliases, the ledger, and moves that survive a kill."""
