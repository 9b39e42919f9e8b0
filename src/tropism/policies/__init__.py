"""Models that score and generate responses, and the references they are compared with."""
