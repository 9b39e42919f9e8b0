"""`tropism build`: one command for each kind of signal, and one that finds the kind."""
