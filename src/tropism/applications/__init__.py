"""The published systems, one folder each, on public names only."""
