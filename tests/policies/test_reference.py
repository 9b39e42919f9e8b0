"""The reference cache: reused where nothing that matters changed, missed where something did."""

import sqlite3
import subprocess
import sys

import pytest
import torch

from tropism.errors import OutputError
from tropism.policies.cache import default_folder
from tropism.policies.reference import CachedReference
from tropism.testing import pairs, tiny_llama, tiny_policy


def prepared(policy, prompts, **settings) -> CachedReference:
    groups, _ = policy.renderer.render(pairs(prompts))
    reference = CachedReference(policy, **settings)
    reference.prepare(groups)
    return reference


def test_a_second_run_scores_nothing_and_gets_the_same_bits():
    first = prepared(tiny_policy(), ["one", "two"])
    second = prepared(tiny_policy(), ["two", "one"])
    assert first.tokens_scored > 0
    assert second.tokens_scored == 0
    assert first.known == second.known


def test_added_rows_score_only_those():
    prepared(tiny_policy(), ["one", "two"])
    more = prepared(tiny_policy(), ["one", "two", "three"])
    alone = prepared(tiny_policy(), ["three"], keep=False)
    assert more.tokens_scored == alone.tokens_scored > 0


def test_a_changed_weight_misses():
    prepared(tiny_policy(), ["one"])
    model = tiny_llama()
    with torch.no_grad():
        model.model.norm.weight[0] += 1e-6
    assert prepared(tiny_policy(model), ["one"]).tokens_scored > 0


def test_a_changed_template_misses():
    prepared(tiny_policy(), ["one"])
    assert prepared(tiny_policy(template="chat"), ["one"]).tokens_scored > 0


def test_another_autocast_precision_misses():
    prepared(tiny_policy(), ["one"])
    assert prepared(tiny_policy(), ["one"], precision="bfloat16").tokens_scored > 0


def test_equal_responses_are_scored_once():
    policy = tiny_policy()
    groups, _ = policy.renderer.render([*pairs(["one"]), *pairs(["one"])])
    reference = CachedReference(policy)
    reference.prepare(groups)
    assert len(reference.known) == 2


def test_attached_scores_equal_the_policy_at_its_start():
    policy = tiny_policy()
    groups, _ = policy.renderer.render(pairs(["one", "a longer prompt"]))
    reference = CachedReference(policy)
    reference.prepare(groups)
    for batch in policy.collate(groups, tokens_per_batch=4096):
        scores = policy.score(policy.model, reference.attach(batch, policy.model))
        torch.testing.assert_close(scores.policy, scores.reference, rtol=0, atol=1e-4)


def test_the_cache_keeps_log_probabilities_of_every_token():
    policy = tiny_policy()
    reference = prepared(policy, ["one"])
    groups, _ = policy.renderer.render(pairs(["one"]))
    rows = dict(sqlite3.connect(reference.path).execute("SELECT key, token_logp FROM scores"))
    for response in groups[0].responses:
        assert len(rows[groups[0].response_key(response)]) == 4 * len(response.ids)


def test_a_cache_that_cannot_be_written_is_a_plain_error(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(OutputError, match=r"cannot be written.*Set TROPISM_CACHE to a folder that can"):
        prepared(tiny_policy(), ["one"], folder=blocker / "cache")


def test_the_cache_is_where_the_user_says(tmp_path):
    assert default_folder() == tmp_path / "cache" / "reference"


def test_processes_that_open_a_new_cache_at_once_do_not_trip_each_other(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from tropism.policies.cache import open_cache\n"
        "for i in range(40):\n"
        "    path = Path(sys.argv[1]) / f'{i}.sqlite'\n"
        "    time.sleep(0.05 - time.time() % 0.05)\n"
        "    with open_cache(path) as cache, cache: cache.execute('INSERT OR IGNORE INTO scores VALUES (1, 2, 3)')\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
