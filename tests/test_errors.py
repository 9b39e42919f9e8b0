"""Errors name parameters, and are spelled for the command line and for recipes."""

from tropism.cli import app
from tropism.cli.spelling import spellings
from tropism.errors import ConfigError, DataError, respelled


def test_respelling_replaces_only_known_parameters_and_keeps_the_class_and_the_cause() -> None:
    error = DataError("`cap=0` and `other` of `tropism train`.", remedy="Omit `cap`.")
    error.__cause__ = KeyError("x")
    told = respelled(error, {"cap": "--cap"})
    assert isinstance(told, DataError)
    assert (told.problem, told.remedy) == ("--cap 0 and `other` of `tropism train`.", "Omit --cap.")
    assert str(told) == "--cap 0 and `other` of `tropism train`. Omit --cap."
    assert told.__cause__ is error.__cause__
    assert str(error) == "`cap=0` and `other` of `tropism train`. Omit `cap`."


def test_flags_and_keys_are_written_as_their_readers_write_them() -> None:
    error = ConfigError("`ties=True`, `ties=False`, `rule='shp'`.", remedy="Omit `ties`.")
    assert respelled(error, {"ties": "--ties", "rule": "--rule"}).problem == "--ties, --no-ties, --rule shp."
    assert respelled(error, {"ties": "loss.ties"}).problem == "loss.ties=True, loss.ties=False, `rule='shp'`."


def test_the_command_line_knows_its_options_by_parameter() -> None:
    told = spellings(app, ["gate", "gate.yaml"])
    assert told["for_programs"] == "--json"
    assert spellings(app, ["train", "--help"])["recipe"] == "RECIPE"
