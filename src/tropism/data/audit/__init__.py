"""Checks of preference data before training, and repairs."""
