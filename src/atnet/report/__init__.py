"""The report of an evaluation as a reviewer sees it: figures, explanations, one page."""
