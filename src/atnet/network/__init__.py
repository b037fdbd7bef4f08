"""AtNet and its wide branch: layers and features, training, and the files of a trained model."""
