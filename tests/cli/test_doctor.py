"""`tropism doctor`: the installation is checked on the embedded model, the cache is listed and pruned."""

import json
import sqlite3

from tropism.cli import run
from tropism.cli.json_keys import JSON_KEYS
from tropism.references.cached import CachedReference
from tropism.references.score_cache import default_folder, list_caches
from tropism.testing import pairs, tiny_llama, tiny_policy


def fill(seed: int) -> CachedReference:
    policy = tiny_policy(tiny_llama(seed=seed))
    groups, _ = policy.prepare(pairs(["one", "two"]))
    reference = CachedReference(policy)
    reference.prepare(groups)
    return reference


def last_json(capsys) -> dict:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_it_checks_the_layouts_and_says_what_is_installed(capsys):
    assert run(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "forest and padded within" in shown
    assert "torch" in shown


def test_the_cache_is_listed_with_what_it_holds(capsys):
    reference = fill(1)
    assert run(["doctor", "--cache", "--json"]) == 0
    found = last_json(capsys)
    assert set(found) == set(JSON_KEYS["doctor"])
    (file,) = found["files"]
    assert file["path"] == str(reference.path)
    assert file["responses"] == 4
    assert file["tokens"] == sum(len(f" {p}!") + 1 + len(f" {p[::-1]} or so") + 1 for p in ("one", "two"))
    assert found["cache_bytes"] == file["num_bytes"] > 0


def test_pruning_deletes_what_is_old_or_broken_and_nothing_else(capsys):
    old, fresh = fill(1), fill(2)
    with sqlite3.connect(old.path) as cache:
        cache.execute("UPDATE about SET value = '2020-01-01' WHERE name = 'last_used'")
    broken = default_folder() / "broken.sqlite"
    broken.write_text("this is no database, it only looks like one from afar")
    assert next(one.problem for one in list_caches(default_folder()) if one.path == broken)
    assert run(["doctor", "--prune", "30", "--json"]) == 0
    found = last_json(capsys)
    assert sorted(found["pruned"]) == sorted([str(old.path), str(broken)])
    assert [one.path for one in list_caches(default_folder())] == [fresh.path]
    assert not list(default_folder().glob(f"{old.path.name}*"))


def test_an_empty_cache_is_no_error(capsys):
    assert run(["doctor", "--cache"]) == 0
    assert "0 files" in capsys.readouterr().out
