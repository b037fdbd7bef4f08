"""The wide branch: a linear model of word and character n-grams that is combined with the network."""
