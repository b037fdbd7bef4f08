"""Evaluation on the test split: scores, intervals, calibration, slices and comparisons with the baselines."""
