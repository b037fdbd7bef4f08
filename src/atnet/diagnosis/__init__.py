"""What `atnet doctor` checks: the machine, DVC, MLflow and Prefect. Each check returns findings with a next step."""
