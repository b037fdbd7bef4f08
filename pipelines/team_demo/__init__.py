"""`make team-demo`: a team's servers on this machine, started from packages."""
