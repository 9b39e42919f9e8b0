"""A model's own answers become preference groups."""
