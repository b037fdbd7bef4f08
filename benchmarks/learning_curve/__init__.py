"""How many labels are needed: accuracy over the number of training rows, for AtNet and other models."""
