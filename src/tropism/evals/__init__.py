"""What changed between two models, each number with its interval."""
