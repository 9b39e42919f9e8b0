"""Who decides which of two answers is better."""

from typing import TYPE_CHECKING

from tropism.lazy import lazy_names

if TYPE_CHECKING:
    from tropism.judges.judge import AnswerPair, Judge, ScoringJudge, Verdict, load_judge
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "tropism.judges.judge": (
                "AnswerPair",
                "Judge",
                "ScoringJudge",
                "Verdict",
                "load_judge",
            ),
        },
    )

__all__ = [
    "AnswerPair",
    "Judge",
    "ScoringJudge",
    "Verdict",
    "load_judge",
]
