"""What the model has learned, over many texts: n-gram contributions, attention and word vectors."""
