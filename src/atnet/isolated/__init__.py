"""A model version that answers in a process of its own, with the code it was shipped with."""
