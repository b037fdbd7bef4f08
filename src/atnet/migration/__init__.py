"""Moving a project's MLflow store to a server."""
