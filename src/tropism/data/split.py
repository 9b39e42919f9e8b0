"""Which groups are held out: a hash of the prompt decides, so that added or shuffled rows move nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tropism.data.group_keys import group_key, unit_hash
from tropism.errors import ConfigError, DataError
from tropism.groups import PreferenceGroup, Split


def split_groups(
    groups: Sequence[PreferenceGroup], *, holdout: float
) -> tuple[tuple[PreferenceGroup, ...], tuple[PreferenceGroup, ...]]:
    """Part groups into those to train on and those held out; a group that already carries `split` keeps it.

    Args:
        groups: the groups, in any order.
        holdout: expected share of the undecided groups that is held out, in [0, 1).

    Returns:
        The groups to train on and those held out, each in the order given and with its `split` filled in.

    Raises:
        ConfigError: if `holdout` is no share.
        DataError: if `holdout` > 0 and one side would be empty.

    Example:
        >>> from tropism.groups import Response
        >>> groups = [PreferenceGroup(str(n), (f"question {n}",), (Response("a", "yes"),)) for n in range(100)]
        >>> train, held_out = split_groups(groups, holdout=0.2)
        >>> len(train) + len(held_out)
        100
    """
    if not 0 <= holdout < 1:
        raise ConfigError(
            f"'holdout' must lie in [0, 1), not {holdout}.", remedy="Set data.holdout to a share such as 0.1."
        )
    decided = [group if group.split else replace(group, split=_side(group, holdout)) for group in groups]
    train = tuple(group for group in decided if group.split == "train")
    held_out = tuple(group for group in decided if group.split == "eval")
    if holdout > 0 and not (train and held_out):
        raise DataError(
            f"a holdout of {holdout} leaves no group to {'train on' if not train else 'evaluate on'} "
            f"({len(groups)} groups in all).",
            remedy="Change data.holdout, name a file under data.eval, or add data.",
        )
    return train, held_out


def _side(group: PreferenceGroup, holdout: float) -> Split:
    """The side that a group's prompt falls on."""
    return "eval" if unit_hash(group_key(group), purpose="split") < holdout else "train"
