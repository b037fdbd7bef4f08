"""`atnet watch`: send one notification for every event and every change of state, through Apprise or the log."""
