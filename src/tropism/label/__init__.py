"""The label page: people choose between answers, and every choice is stored as it was made."""
