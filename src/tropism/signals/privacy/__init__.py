"""Removing personal data, and the safety gate."""
