"""Probes and alarms while a stage trains."""

from tropism.training.watch.alarms import ALARMS, PROBED, AlarmRule, AlarmSettings, last_metric

__all__ = ["ALARMS", "PROBED", "AlarmRule", "AlarmSettings", "last_metric"]
