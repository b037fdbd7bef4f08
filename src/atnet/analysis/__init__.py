"""Questions about the data, off the default path: what more of it would give, and which labels look wrong."""
