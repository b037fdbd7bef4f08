"""From a file of labeled texts to settings: how it is read, what its columns mean, which labels it has."""
