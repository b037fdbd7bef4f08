"""How good the answers are: scores, intervals, calibration, slices, and the simple models that AtNet must beat."""
