"""The errors that a user can put right: each says what was expected, what was given, and what to do."""


class TropismError(ValueError):
    """Something the user can put right.

    Args:
        problem: the fact, with what was expected and what was given (name, value, row).
        remedy: what to do about it, as an imperative sentence.

    Example:
        >>> str(TropismError("'beta' must be positive, not -1.", remedy="Set loss.dpo.beta to 0.1."))
        "'beta' must be positive, not -1. Set loss.dpo.beta to 0.1."
    """

    exit_status = 2

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


class DataError(TropismError):
    """Data that cannot be read, or that leaves nothing to train on."""


class ConfigError(TropismError):
    """A recipe, an option or a combination of settings that has no meaning."""


class ModelError(TropismError):
    """A model or tokenizer that cannot be loaded or does not fit the data."""


class OutputError(TropismError):
    """A place that cannot be written to."""

    exit_status = 3


class ReferenceMismatchError(TropismError):
    """A reference that is not the policy's start state although it should be."""


class Interrupted(TropismError):  # noqa: N818  (an interruption is no error of anybody's)
    """The user stopped a job; what was done is kept."""

    exit_status = 130
