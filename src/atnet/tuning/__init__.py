"""The search for better training parameters: what is tried, by whom, what came of it, and its way into params.yaml."""
