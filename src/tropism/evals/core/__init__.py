"""What an eval is, suites of them, and their results."""
