"""Monitoring: whether recent texts differ from those the champion was evaluated on, whether it matters, what to do."""
