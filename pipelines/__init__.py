"""Thin Prefect flows: when to run, retry, alert and pause. What may be skipped is DVC's to say."""
