"""`atnet watch`: notify people once of every event and every change of state, through Apprise or the log."""
