"""Train, evaluate, track and release a text classifier on your own labeled texts."""
