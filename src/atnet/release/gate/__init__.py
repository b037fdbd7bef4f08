"""The gate: whether the challenger may become the champion."""
