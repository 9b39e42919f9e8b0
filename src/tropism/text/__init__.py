"""Dialogues and text to token ids."""
