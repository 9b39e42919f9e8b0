"""Whole runs: stages, sweeps, rounds."""
