"""The JSON records that builds, runs, evaluations and reports share. No torch, no arithmetic."""

from tropism.records.applications import ApplicationRun, ClaimResult
from tropism.records.data import Account, DataCard
from tropism.records.record import Estimate, Matrix, Record, write_json, write_text
from tropism.records.runs import Alarm, MemoryPlan, Probe, Run, Stage, StepLog, read_log, read_run
from tropism.records.series import RoundRecord, Rounds, Sweep, SweepRun
from tropism.records.suites import (
    Better,
    Comparison,
    EvalResult,
    EvalWords,
    Measure,
    SuiteModel,
    SuitePair,
    SuiteRun,
    SuiteSample,
    TableWords,
    read_suite_run,
)

__all__ = [
    "Account",
    "Alarm",
    "ApplicationRun",
    "Better",
    "ClaimResult",
    "Comparison",
    "DataCard",
    "Estimate",
    "EvalResult",
    "EvalWords",
    "Matrix",
    "Measure",
    "MemoryPlan",
    "Probe",
    "Record",
    "RoundRecord",
    "Rounds",
    "Run",
    "Stage",
    "StepLog",
    "SuiteModel",
    "SuitePair",
    "SuiteRun",
    "SuiteSample",
    "Sweep",
    "SweepRun",
    "TableWords",
    "read_log",
    "read_run",
    "read_suite_run",
    "write_json",
    "write_text",
]
