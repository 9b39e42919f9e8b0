"""Style TDI by hand, its invariances, states against a slow twin, restyling that keeps facts, and conflict."""

import contextlib
import random

import numpy as np
import pytest
import torch

from tropism.errors import DataError
from tropism.evals.core.items import Task
from tropism.evals.core.subject import policy_subject
from tropism.evals.style.restyle import STYLES, facts, keeps_facts, restyled
from tropism.evals.style.style_contents import StyledContent, content_states, held_out_contents, own_contents
from tropism.evals.style.style_geometry import drawn, geometry, quotient, ratio, ratio_of_ratios, tdi_spread
from tropism.evals.style.style_preference import StyleSettings, Sway, spread_ratio, style, style_tdi, sway, wins
from tropism.groups import Edge, PreferenceGroup, Response
from tropism.policies.states import response_states
from tropism.testing import tiny_llama, tiny_policy

SQUARE = np.array([[[0.0, 0.0], [2.0, 0.0]], [[10.0, 0.0], [14.0, 0.0]], [[0.0, 12.0], [0.0, 15.0]]])


@contextlib.contextmanager
def silent(title, total):
    yield lambda count: None


def planted(*, style_size, content_size, seed=0, contents=30, styles=4, width=16):
    rng = np.random.default_rng(seed)
    return content_size * rng.normal(size=(contents, 1, width)) + style_size * rng.normal(size=(1, styles, width))


def test_style_tdi_is_the_hand_worked_ratio():
    spread = tdi_spread(SQUARE)
    assert spread.within.tolist() == [2.0, 4.0, 3.0]
    centres = [(1.0, 0.0), (12.0, 0.0), (0.0, 13.5)]
    between = [np.hypot(a[0] - b[0], a[1] - b[1]) for a, b in ((centres[0], centres[1]), (centres[0], centres[2]),
                                                              (centres[1], centres[2]))]  # fmt: skip
    found = geometry(SQUARE).tdi
    assert found.numerator.value == 3.0
    assert found.denominator.value == pytest.approx(np.mean(between))
    assert found.value.value == pytest.approx(3.0 / np.mean(between))
    assert found.value.n == 3


def test_normalised_drift_divides_by_the_trace_of_the_covariance():
    found = geometry(SQUARE).drift
    centres = SQUARE.mean(axis=1)
    assert found.numerator.value == pytest.approx((4.0 + 16.0 + 9.0) / 3)
    assert found.denominator.value == pytest.approx(np.trace(np.cov(centres.T)))


def test_blind_spot_is_a_ratio_of_cosine_distances():
    states = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 2.0]]])
    found = geometry(states).blind_spot
    assert found.numerator.value == pytest.approx(0.5)
    assert found.denominator.value == pytest.approx(1.0)


def test_rotation_scale_and_shift_do_not_change_style_tdi():
    states = planted(style_size=0.5, content_size=1.0)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))
    same = geometry(states).tdi.value
    moved = geometry(3.0 * states @ rotation + 7.0).tdi.value
    assert moved.value == pytest.approx(same.value)
    assert moved.low == pytest.approx(same.low)


def test_twice_the_style_is_twice_the_ratio_and_the_interval_knows_it():
    little = planted(style_size=0.5, content_size=1.0)
    much = planted(style_size=1.0, content_size=1.0)
    factor = ratio_of_ratios(tdi_spread(much), tdi_spread(little))
    assert factor.value == pytest.approx(2.0)
    assert factor.low == pytest.approx(2.0)  # the same contents are drawn for both
    assert ratio(tdi_spread(planted(style_size=0.0, content_size=1.0))).value.value == pytest.approx(0.0, abs=1e-12)


def test_the_bootstrap_over_contents_covers_the_planted_ratio():
    def states(seed, contents=40):
        rng = np.random.default_rng(seed)
        return rng.normal(size=(contents, 1, 4)) + rng.exponential(size=(contents, 1, 1)) * FIXED

    truth = float(quotient(tdi_spread(states(99, contents=1500)), np.ones((1, 1500)))[0])
    covered = sum(
        found.low <= truth <= found.high for found in (ratio(tdi_spread(states(seed))).value for seed in range(60))
    )
    assert covered >= 52


FIXED = np.random.default_rng(7).normal(size=(1, 3, 4)) * 0.3


def test_no_resample_is_of_one_content_alone():
    assert ((drawn(2, seed=0) > 0).sum(axis=1) == 2).all()


def test_one_content_or_one_style_has_no_style_tdi():
    with pytest.raises(DataError, match="two contents in two styles, not 1 in 4"):
        geometry(planted(style_size=1.0, content_size=1.0, contents=1))
    with pytest.raises(DataError, match="not 30 in 1"):
        geometry(planted(style_size=1.0, content_size=1.0, styles=1))


@pytest.mark.parametrize("layout", ["forest", "padded"])
def test_states_are_those_of_the_model_alone_on_one_row(layout):
    policy = tiny_policy(layout=layout)
    groups, _ = policy.prepare([
        PreferenceGroup("a", ("Hi",), (Response("0", " there"), Response("1", " you two"))),
        PreferenceGroup("b", ("A longer prompt",), (Response("0", "!"),)),
    ])  # fmt: skip
    found = response_states(policy, groups)
    for group in groups:
        for index, response in enumerate(group.responses):
            with torch.no_grad():
                every = policy.model(torch.tensor([group.sequence(index)]), output_hidden_states=True).hidden_states[-1]
            slow = every[0, -len(response.ids) :].double().mean(dim=0).numpy()
            assert np.allclose(found[group.response_key(response)], slow, atol=1e-5)


def test_reading_states_leaves_the_model_as_it_was():
    policy = tiny_policy(max_tokens=256)
    policy.model.train()
    before = policy.model.config._attn_implementation
    torch.manual_seed(3)
    chance = torch.random.get_rng_state()
    style_tdi(policy, own_contents(policy, num=2, styles=("plain", "coda"), draws=1))
    assert policy.model.training
    assert policy.model.config._attn_implementation == before
    assert torch.equal(torch.random.get_rng_state(), chance)
    assert all(parameter.grad is None for parameter in policy.model.parameters())


def test_every_style_keeps_the_facts_of_our_own_contents():
    contents = own_contents(None)
    assert len(contents) == 40
    for content in contents:
        assert list(content.right) == list(STYLES)
        for right, wrong in zip(content.right["json"], content.wrong["json"], strict=True):
            assert right != wrong  # one fact apart, in the same wording
            assert not keeps_facts(right, wrong)


def test_a_restyled_text_that_adds_a_number_or_loses_a_word_is_noticed():
    assert keeps_facts("It has 8 legs.", "- It has 8 legs.\n- Kind regards.")
    assert not keeps_facts("It has 8 legs.", "In 2 words: it has 8 legs.")
    assert not keeps_facts("It has 8 legs.", "It has legs.")
    assert not keeps_facts("She met Anna.", "She met Anna with Bob there.")
    assert facts("The 3 boats, said I, met Anna.") == {"3", "Anna"}


def test_a_text_whose_facts_a_style_would_change_is_refused(monkeypatch):
    monkeypatch.setitem(STYLES, "coda", lambda text, rng: f"{text} All 5 of us agree.")
    assert restyled("It has 8 legs.", styles=["plain", "coda"], draws=1, seed=0) is None


def test_wordings_depend_on_the_seed_alone():
    first = restyled("One. Two.", styles=list(STYLES), draws=3, seed=1)
    random.seed(5)
    assert restyled("One. Two.", styles=list(STYLES), draws=3, seed=1) == first
    assert restyled("One. Two.", styles=list(STYLES), draws=3, seed=2) != first


def test_held_out_contents_are_the_winners_of_middle_length():
    def group(name, prompt, winner):
        return PreferenceGroup(name, (prompt,), (Response("l", "No."), Response("w", winner)), (Edge(1, 0),))

    groups = [
        group("short", "a", "Too few words."),
        group("good", "b", "This answer has 6 words."),
        group("same prompt", "b", "This one has 6 words too."),
        group("long", "c", "word " * 200),
    ]
    contents = held_out_contents(groups, num=5, draws=1)
    assert [content.id for content in contents] == ["good"]
    assert contents[0].right["plain"] == ("This answer has 6 words.",)
    assert not contents[0].wrong


def test_conflict_is_lost_where_style_outbids_the_facts_and_won_where_it_does_not():
    styles = ("plain", "bullets", "coda")
    settings = StyleSettings(styles=styles)
    bonus = np.array([0.0, 5.0, 1.0])[None, None, :, None]
    fact = np.array([1.0, 0.0])[None, :, None, None]
    rewards = np.tile(bonus + fact, (6, 1, 1, 2))
    assert sway(rewards, settings) == [Sway(conflict=0.0, aligned=1.0, same=1.0)] * 6
    assert sway(np.tile(0.1 * bonus + fact, (6, 1, 1, 2)), settings) == [Sway(1.0, 1.0, 1.0)] * 6


def test_a_model_beside_itself_has_no_preference():
    assert sway(np.zeros((4, 2, 3, 2)), StyleSettings(styles=("plain", "coda", "json"))) == [Sway(0.5, 0.5, 0.5)] * 4
    assert wins(np.array([1.0]), np.array([2.0])) == 0.0


def test_the_favoured_style_is_found_without_the_content_that_it_is_tested_on():
    rewards = np.zeros((3, 2, 2, 1))
    rewards[0, 0, 0] = 100.0  # its own noise says plain; the others say coda
    rewards[1:, 0, 1] = 1.0
    assert sway(rewards, StyleSettings(styles=("plain", "coda")))[0].conflict == 1.0  # plain and right, against coda


@pytest.mark.parametrize(
    "wrong", [{"styles": ("coda", "plain")}, {"styles": ("plain", "odd")}, {"favoured": "odd"}, {"draw": 1}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=r"styles|favoured|Extra"):
        StyleSettings(**wrong)


def task_of(subject, base, **settings):
    return Task(subject, base, (), (), None, StyleSettings(**settings), 0, silent)


def test_the_eval_measures_a_model_beside_its_base():
    base = policy_subject("base", tiny_policy(max_tokens=200, template="chat"))
    other = policy_subject("other", tiny_policy(tiny_llama(seed=1), max_tokens=200, template="chat"))
    settings = {"contents": 6, "draws": 2, "styles": ("plain", "bullets", "coda")}
    found = style(task_of(other, base, **settings))
    assert {item.id for item in found.items} <= {content.id for content in own_contents(None, num=6)}
    assert found.metrics["tdi"].value == pytest.approx(
        found.metrics["tdi_within"].value / found.metrics["tdi_between"].value
    )
    for name in ("tdi", "drift", "blind_spot"):
        assert spread_ratio(name)(found.items) == found.metrics[name].value
    assert found.metrics["tdi_vs_base"].low < found.metrics["tdi_vs_base"].value < found.metrics["tdi_vs_base"].high
    assert all(0 <= item.values["conflict"] <= 1 for item in found.items)
    assert [matrix.name for matrix in found.matrices] == ["distance between styles", "right fact preferred"]
    assert len({len(values) for values in found.series.values()}) == 1
    itself = style(task_of(base, base, **settings))
    assert itself.metrics["tdi_vs_base"].value == 1.0
    assert {item.values["conflict"] for item in itself.items} == {0.5}


def test_contents_that_do_not_fit_are_counted():
    policy = tiny_policy(max_tokens=180, template="chat")
    contents = own_contents(policy, num=40, styles=("plain", "coda"), draws=1)
    ids, states = content_states(policy, contents)
    assert 0 < len(ids) < 40
    assert states.shape == (len(ids), 2, 32)
    subject = policy_subject("a", tiny_policy(max_tokens=190, template="chat"))
    found = style(task_of(subject, subject, styles=("plain", "coda"), draws=1))
    assert sum(found.skipped.values()) == 40 - len(found.items)


def test_draws_of_a_style_are_averaged():
    policy = tiny_policy(max_tokens=200)
    two = StyledContent("a", "Hi", {"plain": ("x", "y"), "coda": ("z", "z")})
    one = [StyledContent("a", "Hi", {"plain": (text,), "coda": ("z",)}) for text in ("x", "y")]
    _, states = content_states(policy, [two])
    first, second = (content_states(policy, [content])[1] for content in one)
    assert np.allclose(states[0, 0], (first[0, 0] + second[0, 0]) / 2)
    assert np.allclose(states[0, 1], first[0, 1])
