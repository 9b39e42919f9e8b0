"""The sections of a page: records as lines of text."""
