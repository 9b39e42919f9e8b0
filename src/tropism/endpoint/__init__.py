"""A client for OpenAI-compatible endpoints."""
