"""What stands behind `atnet …`: the commands that have modules of their own, and the acts of the smaller ones."""
