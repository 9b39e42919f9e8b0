"""The trainer and one optimizer step."""
