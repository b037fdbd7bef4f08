"""Monitoring: whether recent texts differ from what the champion was evaluated on, whether it hurts, what to do."""
