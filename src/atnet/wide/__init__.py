"""The wide branch: a linear model of word and character n-grams beside the network."""
