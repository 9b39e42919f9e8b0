"""The bytes of a text file, packed with gzip or not: opening, checking and unpacking them."""

from __future__ import annotations

import codecs
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from tropism.errors import DataError
from tropism.ingest.file_kinds import is_packed

BOM = b"\xef\xbb\xbf"
LONGEST_RECORD = 32_000_000
"""Bytes of the longest line of JSONL, and of the longest record of CSV."""

TOO_LONG = f"longer than {LONGEST_RECORD:,} bytes"
_BYTES_AT_ONCE = 1 << 20


class Scanned(NamedTuple):
    """What one pass over the bytes of a text file tells.

    Args:
        is_utf8: whether all of it is valid UTF-8; True if that was not looked at.
        has_bom: whether it begins with a byte order mark.
        num_lf: lines that end in LF alone.
        num_crlf: lines that end in CR LF.
        num_cr: lines that end in CR alone.
        is_ended: whether the last line has an end.
        edges: the first and the last byte that are no white space.
    """

    is_utf8: bool
    has_bom: bool
    num_lf: int
    num_crlf: int
    num_cr: int
    is_ended: bool
    edges: bytes

    @property
    def num_lines(self) -> int:
        """Lines that end in LF or CR LF, and the last one."""
        return self.num_lf + self.num_crlf + (not self.is_ended)


def scanned(path: Path, *, utf8: bool) -> Scanned:
    """Read a text file whole, which is the only way to know its line ends and, of gzip, its checksum.

    Args:
        path: the file.
        utf8: whether to check that it is UTF-8.

    Raises:
        DataError: if the file cannot be read, or is a damaged gzip.
    """
    decoder = codecs.getincrementaldecoder("utf-8")() if utf8 else None
    num_lf = num_cr = num_crlf = 0
    has_bom, is_utf8, last, edges = False, True, b"", b""
    with reading(path), opened(path) as file:
        while chunk := file.read(_BYTES_AT_ONCE):
            has_bom |= not last and chunk.startswith(BOM)
            if decoder and is_utf8:
                is_utf8 = _decodes(decoder, chunk)
            num_lf += chunk.count(b"\n")
            cr = chunk.count(b"\r")
            if cr or last == b"\r":
                num_cr, num_crlf = num_cr + cr, num_crlf + chunk.count(b"\r\n")
                num_crlf += last == b"\r" and chunk.startswith(b"\n")
            last = chunk[-1:]
            if inner := chunk.strip():
                edges = (edges[:1] or inner[:1]) + inner[-1:]
    if decoder and is_utf8:
        is_utf8 = _decodes(decoder, b"", final=True)
    return Scanned(is_utf8, has_bom, num_lf - num_crlf, num_crlf, num_cr - num_crlf, last == b"\n", edges)


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    """Whether the next bytes are UTF-8."""
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def opened(path: Path) -> BinaryIO:
    """A file's bytes, unpacked if it is named `.gz`."""
    return cast(BinaryIO, gzip.open(path, "rb")) if is_packed(path) else path.open("rb")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into one sentence.

    Raises:
        DataError: if the file cannot be read, is damaged, or is not gzip although it is named `.gz`.
    """
    try:
        yield
    except gzip.BadGzipFile as error:
        if "CRC" in str(error) or "length" in str(error):
            raise _damaged(path, "its checksum is wrong") from None
        raise DataError(
            f"{path} is named .gz, but is not gzip, or has something else at its end.",
            remedy="Rename or pack it again.",
        ) from None
    except EOFError:
        raise _damaged(path, "it was cut off") from None
    except zlib.error as error:
        raise _damaged(path, str(error)) from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error}).", remedy="Check the file and its permissions."
        ) from None


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A file in which any line can be read again: the file itself, or a packed one's contents in a separate folder.

    Raises:
        DataError: if the file cannot be read, or the disk has no space for its contents.
    """
    if not is_packed(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tropism-") as folder:
        whole = Path(folder) / path.stem
        with reading(path), opened(path) as packed, whole.open("wb") as file:
            shutil.copyfileobj(packed, file)
        yield whole


def _damaged(path: Path, reason: str) -> DataError:
    """The error for a gzip that is not whole."""
    return DataError(f"{path} is a damaged gzip: {reason}.", remedy="Fetch or pack it again.")
