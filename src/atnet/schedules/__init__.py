"""Schedules and flow runs, read from Prefect's server over HTTP: late and stuck runs, and slots that no run uses."""
