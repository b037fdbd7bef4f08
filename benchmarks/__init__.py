"""Benchmarks, each a command; the results are in docs/benchmarks.md."""
