"""Probes and alarms while a stage trains."""
