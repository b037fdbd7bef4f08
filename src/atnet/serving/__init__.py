"""The online service: the champion answers requests over HTTP."""
