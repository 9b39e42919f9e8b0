"""Images of one folder, served under random names; nothing outside the folder is served."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import NamedTuple

from tropism.data.group_keys import short_hash
from tropism.errors import DataError

IMAGE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
"""SVG is excluded, because it can hold scripts."""


class ServedImage(NamedTuple):
    """A file and its media type."""

    path: Path
    media_type: str


class ImageFolder:
    """The images that pages may show.

    Args:
        root: the folder of images; None if there is none, and no image is shown.

    Raises:
        DataError: if the folder does not exist.
    """

    def __init__(self, root: Path | None) -> None:
        if root is not None and not root.is_dir():
            raise DataError(f"`images` must be a folder, got {root}.", remedy="Use the folder that holds the images.")
        self._root = root.resolve() if root is not None else None
        self._salt = secrets.token_hex(8)
        self._known: dict[str, str] = {}

    def key_of(self, reference: str) -> str | None:
        """The name under which a page requests an image; None if it is not an image in the folder.

        Args:
            reference: the path in the data, absolute or relative to the folder.
        """
        if self._inside(reference) is None:
            return None
        key = short_hash(f"{self._salt}{reference}")
        self._known[key] = reference
        return key

    def find(self, key: str) -> ServedImage | None:
        """The image of a name that `key_of` returned; checked again, because the folder may have changed."""
        reference = self._known.get(key)
        path = self._inside(reference) if reference is not None else None
        return None if path is None else ServedImage(path, IMAGE_TYPES[path.suffix.lower()])

    def _inside(self, reference: str) -> Path | None:
        """The file of a reference, if it is inside the folder after all links are resolved."""
        if self._root is None:
            return None
        try:
            path = (self._root / reference).resolve()
            usable = path.is_relative_to(self._root) and path.suffix.lower() in IMAGE_TYPES and path.is_file()
        except (OSError, ValueError, RuntimeError):  # a name too long, a null byte, or a loop of links
            return None
        return path if usable else None
