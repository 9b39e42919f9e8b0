"""Evals of held-out preferences and of drift."""
