"""Evals of refusals, prompt injection and instruction hierarchy."""
