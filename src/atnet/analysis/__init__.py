"""Analyses of the data, outside the pipeline: learning curves and label issues."""
