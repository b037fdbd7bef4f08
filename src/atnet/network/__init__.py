"""AtNet: its layers, its training, and the files of a trained model."""
