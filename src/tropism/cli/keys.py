"""The keys that `--json` promises, for docs/cli.md and for the test that holds the commands to them."""

TRAIN_KEYS = {
    "steps": "optimizer steps of all stages",
    "first_loss": "loss of the last stage's first step",
    "last_loss": "loss of the last stage's last step",
    "pair_accuracy": "share of held-out comparisons that the implicit reward orders as people did, or null",
    "win_rate": "`value`, `low`, `high`, `n` of the win rate against the model the last stage started from, or null",
    "metrics": "every metric of the evaluation: name to `value`, `low`, `high`, `n`",
    "seconds": "wall-clock seconds of the whole run",
    "peak_memory_mb": "peak memory of the process, of the GPU where there is one",
    "tokens_computed": "tokens that the policy computed in training, padding included",
    "tokens_distinct": "tokens that a layout without repetition and padding would compute",
    "reference_tokens_scored": "tokens that the reference computed; 0 where its cache knew all",
    "plans": "stage to its memory plan, null for sharded weights; with `--plan` the only key",
    "model": "folder of the tuned model",
    "report": "path of the HTML report",
}

JSON_KEYS: dict[str, dict[str, str]] = {
    "build": {
        "rows_read": "rows of the votes table",
        "rows_used": "rows that became a response; rows_read = rows_used + the sum of dropped",
        "dropped": "reason to number of rows",
        "groups": "preference groups made",
        "responses": "responses in them",
        "edges": "comparisons in them",
        "labels": "unpaired labels in them",
        "ties": "comparisons that are ties",
        "split_keys": "keys that were split because they carry several prompts",
        "confounds": "name to `value`, `low`, `high`, `n`",
        "notes": "what was changed but not dropped: note to number",
        "rule": "the rule in words",
        "output": "path that was written",
    },
    "doctor": {
        "cache": "folder of the reference cache",
        "cache_bytes": "bytes of its files",
        "files": "for each: `path`, `model`, `responses`, `tokens`, `num_bytes`, `last_used`, `problem` or null",
        "pruned": "paths of the files that `--prune` deleted",
        "checks": "check to its outcome; empty with `--cache` or `--prune`",
    },
    "losses": {
        "losses": "for each: `name`, `family`, `paper`, `needs`; for one alone also `page`, `settings`, `honours`",
    },
    "quickstart": TRAIN_KEYS,
    "report": {"report": "path of the HTML report"},
    "train": TRAIN_KEYS,
}
