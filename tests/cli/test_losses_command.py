"""`tropism losses`: the whole table, one page, and a plain error for a typo."""

import json

from tropism.cli import run
from tropism.losses.table import LOSSES, MIXTURES


def test_the_table_holds_every_loss_and_mixture(capsys):
    assert run(["losses", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["losses"]
    assert [row["name"] for row in rows] == [*LOSSES, *MIXTURES]
    assert {"name": "simpo", "family": "pairwise", "paper": "arXiv:2405.14734", "needs": ["edges"]} in rows


def test_a_page_shows_formula_settings_and_source(capsys):
    assert run(["losses", "dpo"]) == 0
    page = capsys.readouterr().out
    assert "-log sigmoid(beta * log-ratio margin - margin_scale * offset)" in page
    assert "arXiv:2305.18290, eq. 7" in page
    assert "beta" in page
    assert run(["losses", "mpo"]) == 0
    assert "mpo = 0.8 dpo + 0.2 bco_pair + 1 nll" in capsys.readouterr().out


def test_every_page_can_be_printed(capsys):
    for name in (*LOSSES, *MIXTURES):
        assert run(["losses", name]) == 0


def test_a_typo_names_the_nearest(capsys):
    assert run(["losses", "simp"]) == 2
    assert "there is no loss 'simp'. Did you mean 'simpo'?" in capsys.readouterr().err
