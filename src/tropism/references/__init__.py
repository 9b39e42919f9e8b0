"""Where reference scores come from, and their cache on disk."""
