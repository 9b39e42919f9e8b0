"""Evals of style against content."""
