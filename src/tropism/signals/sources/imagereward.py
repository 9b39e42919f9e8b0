"""ImageReward's lists: every prompt's images with their ranks, ties allowed.

A record has `id`, `prompt`, `generations` (paths of images) and `ranking` (a number for each, the best is least).

Reference: Xu et al. 2023, ImageReward, arXiv:2304.05977.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tropism.signals.sources.feedback_rows import RankRow, Refused
from tropism.signals.sources.record_files import Record, read_records
from tropism.signals.sources.record_values import Unusable, json_text, key_of, list_of, rank_of, text_of

_OUTSIDE = re.compile(r"^[/\\~]|^[A-Za-z][A-Za-z0-9+.-]*:|(^|[/\\])\.\.([/\\]|$)")
"""A path that leaves its folder, or names a drive or an address."""


def read_imagereward(path: Path) -> Iterator[RankRow | Refused]:
    """The ranked images of each prompt; a response is the JSON of an assistant's turn that holds the image's path.

    Args:
        path: a JSON list, or an object on every line.

    Yields:
        A row for each image of a record, or one refusal for the record.

    Raises:
        DataError: where the file cannot be read.
    """
    for record in read_records(path):
        if isinstance(record, Refused):
            yield record
            continue
        try:
            yield from _ranking(record)
        except Unusable as reason:
            yield Refused(record.number, reason.reason)


def _ranking(record: Record) -> list[RankRow]:
    """The images of one record."""
    prompt = text_of(record.values.get("prompt"), "prompt")
    group = key_of(record.values.get("id")) or f"record {record.number}"
    images = list_of(record.values.get("generations"), "generations")
    ranks = [rank_of(rank) for rank in list_of(record.values.get("ranking"), "ranking")]
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
    place = text_of(image, "image")
    if _OUTSIDE.search(place):
        raise Unusable("an image outside the folder of images")
    return json_text([{"role": "assistant", "content": [{"type": "image", "path": place}]}])
