"""From rows to tokens: what a word is, the tokenizer, the encoded splits, word vectors."""
