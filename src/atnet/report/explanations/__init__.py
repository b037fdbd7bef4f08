"""What a model goes by over many texts: its runs of words, its attention, its word vectors."""
