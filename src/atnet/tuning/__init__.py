"""Hyperparameter search on the validation split: the study, its workers, its results, and the edit of params.yaml."""
