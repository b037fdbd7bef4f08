"""The report of an evaluation: figures, explanations, and the page that shows them."""
