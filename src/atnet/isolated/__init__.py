"""A model version loaded in a separate process, with the inference code that was published with it."""
