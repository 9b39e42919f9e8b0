"""ImageReward's lists: every prompt's images with their ranks, ties allowed.

A record has `id`, `prompt`, `generations` (paths of images) and `ranking` (a number for each, the best is least).

Reference: Xu et al. 2023, ImageReward, arXiv:2304.05977.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tropism.ingest import Row, Unusable, read_rows, row_values
from tropism.signals.sources.feedback_rows import RankRow, Refused

_OUTSIDE = re.compile(r"^[/\\~]|^[A-Za-z][A-Za-z0-9+.-]*:|(^|[/\\])\.\.([/\\]|$)")
"""A path that leaves its folder, or names a drive or an address."""


def read_imagereward(path: Path) -> Iterator[RankRow | Refused]:
    """The ranked images of each prompt; a response is the JSON of an assistant's turn that holds the image's path.

    Args:
        path: a JSON list, or an object on every line.

    Yields:
        A row for each image of a record, or one refusal for the record.

    Raises:
        DataError: if the file cannot be read.
    """
    for record in read_rows(path):
        if record.problem:
            yield Refused(record.number, record.problem)
            continue
        try:
            yield from _ranking(record)
        except Unusable as reason:
            yield Refused(record.number, str(reason))


def _ranking(record: Row) -> list[RankRow]:
    """The images of one record."""
    prompt = row_values.text(record.values.get("prompt"), "prompt")
    group = row_values.key(record.values.get("id")) or f"record {record.number}"
    images = row_values.listing(record.values.get("generations"), "generations")
    ranks = [row_values.rank(rank) for rank in row_values.listing(record.values.get("ranking"), "ranking")]
    if len(images) != len(ranks):
        raise Unusable("as many ranks as images were expected")
    responses = [_turn(image) for image in images]
    if len(responses) < 2:
        raise Unusable("fewer than two images")
    if len(set(responses)) < len(responses):
        raise Unusable("an image that is ranked twice")
    return [
        RankRow(record.number, prompt, response, group, rank, response_is_json=True)
        for response, rank in zip(responses, ranks, strict=True)
    ]


def _turn(image: object) -> str:
    """The assistant's turn that shows an image."""
    place = row_values.text(image, "image")
    if _OUTSIDE.search(place):
        raise Unusable("an image outside the folder of images")
    return row_values.json_text([{"role": "assistant", "content": [{"type": "image", "path": place}]}])
