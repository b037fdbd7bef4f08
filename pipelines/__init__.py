"""Thin Prefect flows: when to run, retry, alert and pause. DVC decides what can be skipped."""
