"""Release: judge a published model, describe it, and move the aliases that say which model is live."""
