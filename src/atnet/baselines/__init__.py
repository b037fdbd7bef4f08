"""The baselines that AtNet must beat: the majority class and linear models."""
