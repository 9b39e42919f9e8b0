"""The page of an application, by a record worked by hand."""

from __future__ import annotations

from parsed import Page, words
from synthetic import HOSTILE, estimate

from tropism.records import ApplicationRun, ClaimResult, Measure
from tropism.reporting.application_page import render_application


def application() -> ApplicationRun:
    """An application with a claim that holds and one that does not."""
    return ApplicationRun(
        name="quickstart", paper="arXiv:2305.18290", summary="Trains a small model.", command=f"tropism {HOSTILE[0]}",
        settings={"posts": 600}, seeds=[0, 1, 2], environment={"device": "CPU"}, seconds=90.0, evaluations=["seed-0"],
        claims=[
            ClaimResult(name="wins", sentence=f"It wins {HOSTILE[0]}", threshold=0.5, direction="above",
                        estimate=estimate(0.7, 0.05, 1200), holds=True),
            ClaimResult(name="kl", sentence="It stays close", threshold=2.0, direction="below", estimate=None,
                        holds=False),
        ],
        arms={"base": {}, "tuned": {"win_rate.rate": estimate(0.7, 0.05, 1200)}},
        measures={"win_rate.rate": Measure(label="Win rate, ties as half", unit="share")},
    )  # fmt: skip


def test_claims_come_first_with_interval_threshold_and_outcome() -> None:
    html = render_application(application())
    text = words(Page(html).text)
    assert "1 of 2 claims of quickstart hold on 3 seeds" in text
    assert "0.70 [0.65, 0.75] above 0.500 1,200 holds" in text
    assert "It stays close – below 2.00 – not measured" in text
    assert "Win rate, ties as half – 70.0 % [65.0, 75.0]" in text
    assert html.index("It stays close") < html.index("<details")
    assert render_application(application()) == html


def test_texts_of_an_application_are_never_markup() -> None:
    html = render_application(application())
    assert "<script" not in html.lower()
    assert Page(html).tags.count("table") == Page(html).tags.count("caption")
