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
    assert "unknown loss 'simp'. Did you mean 'simpo'?" in capsys.readouterr().err


def test_the_page_of_a_loss_of_ones_own(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(OWN)
    assert run(["losses", f"{tmp_path}/mine.py:focal"]) == 0
    page = capsys.readouterr().out
    assert "Focal DPO" in page
    assert "2.0, must be greater than 0" in page
    assert run(["losses", f"{tmp_path}/mine.py:plain"]) == 2
    assert "must be a Loss, got function" in " ".join(capsys.readouterr().err.split())


def test_names_of_other_libraries_are_known(capsys):
    assert run(["losses", "sigmoid"]) == 2
    assert "Write dpo." in capsys.readouterr().err


OWN = '''
from tropism.losses import Positive, preference_loss
from tropism.losses.links import logistic
from tropism.losses.shaping import log_ratio_margin
from tropism.scores import Terms

@preference_loss(family="pairwise", needs={"edges", "reference"}, honours={"prob"})
def focal(scores, feedback, *, gamma: Positive = 2.0, beta: Positive = 0.1):
    """Focal DPO: comparisons that are already ordered count less."""
    margin = beta * log_ratio_margin(scores, feedback)
    terms = logistic(margin, feedback)
    return Terms(terms.value * (1 - margin.sigmoid()) ** gamma, terms.weight)

def plain(scores, feedback):
    return None
'''
