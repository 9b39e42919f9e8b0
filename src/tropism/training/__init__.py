"""The recipe, the trainer and what it watches."""
