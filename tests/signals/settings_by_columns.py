"""Settings of the kind of signal that some columns belong to, for tests that run all kinds."""

from typing import Any

from tropism.signals.kinds.choices import ChoiceSettings
from tropism.signals.kinds.columns import (
    ChoiceColumns,
    LabelColumns,
    RankingColumns,
    RatingColumns,
    SignalColumns,
    VoteColumns,
)
from tropism.signals.kinds.labels import LabelSettings
from tropism.signals.kinds.rankings import RankingSettings
from tropism.signals.kinds.ratings import RatingSettings
from tropism.signals.kinds.signal_settings import SignalSettings
from tropism.signals.kinds.votes import VoteSettings

_SETTINGS: dict[type[SignalColumns], type[Any]] = {
    VoteColumns: VoteSettings,
    RatingColumns: RatingSettings,
    RankingColumns: RankingSettings,
    ChoiceColumns: ChoiceSettings,
    LabelColumns: LabelSettings,
}


def settings_of(columns: SignalColumns, **settings: Any) -> SignalSettings:
    """Settings with some columns."""
    made: SignalSettings = _SETTINGS[type(columns)](columns=columns, **settings)
    return made
