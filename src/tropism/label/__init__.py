"""The label page: people choose between answers, and every choice is kept as it was made."""
