"""What a model goes by over many texts: its word pairs, its attention, its word vectors."""
