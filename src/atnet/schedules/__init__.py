"""Schedules and flow runs, asked from Prefect's server over HTTP: what is late, stuck or holds a slot for nothing."""
