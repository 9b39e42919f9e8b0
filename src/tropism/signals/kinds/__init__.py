"""One module for each kind of signal, and what they share."""
