"""The gate: measure the challenger, then decide whether it may become the champion."""
