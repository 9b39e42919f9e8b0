"""Tropism: from whatever people left behind to a better model, and the proof of what changed."""

from importlib.metadata import PackageNotFoundError, version

from tropism.groups import Edge, Label, PreferenceGroup, Response

try:
    __version__ = version("tropism")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["Edge", "Label", "PreferenceGroup", "Response", "__version__"]


def __getattr__(name: str) -> object:
    """TRL's names, loaded only when asked for: `from tropism import DPOTrainer, DPOConfig`."""
    if name == "DPOTrainer":
        from tropism.dropin.trl_trainer import DPOTrainer

        return DPOTrainer
    if name == "DPOConfig":
        from tropism.dropin.trl_config import DPOConfig

        return DPOConfig
    raise AttributeError(f"module 'tropism' has no attribute {name!r}")
