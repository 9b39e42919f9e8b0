"""Tropism: from whatever people left behind to a better model, and the proof of what changed."""

from importlib.metadata import PackageNotFoundError, version

from tropism.groups import Edge, Label, PreferenceGroup, Response

try:
    __version__ = version("tropism")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["Edge", "Label", "PreferenceGroup", "Response", "__version__"]
