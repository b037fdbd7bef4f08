"""The linear baselines that AtNet must beat."""
