"""A model version loaded in a process of its own, with the inference code that was published with it."""
