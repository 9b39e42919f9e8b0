"""Reading files: one reader for every command."""
