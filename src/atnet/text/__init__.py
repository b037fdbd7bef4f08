"""From text to token ids: word splitting, the tokenizer, encoded splits, word vectors, n-grams."""
