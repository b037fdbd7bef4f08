"""The online service: the champion behind HTTP, in a few processes."""
