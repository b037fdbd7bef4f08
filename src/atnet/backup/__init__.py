"""Back up the MLflow store, the ledger and the data of a project into one archive, and restore it."""
