"""The commands of `atnet`, one module per command."""
