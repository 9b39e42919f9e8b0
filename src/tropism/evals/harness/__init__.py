"""Evals by other libraries."""
