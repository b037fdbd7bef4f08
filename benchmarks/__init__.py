"""What is measured against what, each a command; results stand in docs/benchmarks.md."""
