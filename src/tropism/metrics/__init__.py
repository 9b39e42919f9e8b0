"""Statistics and formulas, each computed in one place."""
