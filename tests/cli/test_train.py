"""`tropism train` from end to end on a tiny model: what it writes, how it resumes, and every error in one line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tropism.cli import run
from tropism.cli.json_keys import JSON_KEYS
from tropism.testing import pairs, tiny_policy


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_policy().save(folder)
    return folder


@pytest.fixture
def recipe(tmp_path, model) -> Path:
    """A recipe with an SFT and a DPO stage on sixty pairs."""
    from tropism.data.group_store import write_pairs

    write_pairs(pairs([f"question {i} {'x' * (5 * i % 13)}" for i in range(60)]), tmp_path / "pairs.jsonl")
    settings = {
        "model": str(model),
        "data": {"train": str(tmp_path / "pairs.jsonl"), "holdout": 0.3, "max_tokens": 128, "min_response_tokens": 4},
        "train": {"per_device_train_batch_size": 4, "learning_rate": 1e-3, "max_steps": 3, "use_cpu": True},
        "stages": [{"name": "sft", "loss": "nll"}, {"name": "dpo", "loss": {"dpo": {"beta": 0.2}}}],
        "evaluation": {"prompts": 3, "max_new_tokens": 8, "judge": f"{tmp_path}/rule.py:shorter"},
        "output": str(tmp_path / "run"),
    }
    (tmp_path / "rule.py").write_text("def shorter(prompt, answer):\n    return -len(answer)\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def error_line(capsys, *arguments: str) -> str:
    """Run a command that must fail, and return its one line."""
    status = run(list(arguments))
    captured = capsys.readouterr()
    assert status not in (0, None)
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def last_json(capsys) -> dict:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_a_run_writes_models_records_and_a_report(recipe, tmp_path, capsys):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert run(["train", str(recipe), "--json"]) == 0
    payload = last_json(capsys)
    assert set(payload) == set(JSON_KEYS["train"])
    assert payload["steps"] == 6
    assert payload["first_loss"] == pytest.approx(0.6931472, abs=1e-5)
    assert payload["win_rate"]["n"] == 3
    assert payload["reference_tokens_scored"] > 0
    assert AutoModelForCausalLM.from_pretrained(payload["model"]).config.use_cache
    assert AutoTokenizer.from_pretrained(payload["model"]).eos_token == "<|end|>"
    assert "<script" not in Path(payload["report"]).read_text()
    assert not list(tmp_path.glob("**/*.tmp"))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [stage["name"] for stage in record["stages"]] == ["sft", "dpo"]
    assert record["stages"][1]["start_model"] == record["stages"][0]["model"]


def test_a_second_run_with_another_beta_scores_no_reference_token(recipe, tmp_path, capsys):
    assert run(["train", str(recipe), "stages=null", "--json"]) == 0
    first = last_json(capsys)
    changes = ["stages=null", "loss.dpo.beta=0.5", "train.learning_rate=1e-4", f"output={tmp_path}/other"]
    assert run(["train", str(recipe), *changes, "--json"]) == 0
    second = last_json(capsys)
    assert first["reference_tokens_scored"] > 0
    assert second["reference_tokens_scored"] == 0


def test_a_run_is_reported_again(recipe, tmp_path, capsys):
    assert run(["train", str(recipe), "stages=null", "evaluation.prompts=1", "--json"]) == 0
    report = Path(last_json(capsys)["report"])
    first = report.read_bytes()
    report.unlink()
    assert run(["report", str(tmp_path / "run"), "--json"]) == 0
    assert set(last_json(capsys)) == set(JSON_KEYS["report"])
    assert report.read_bytes() == first


def test_an_adapter_is_trained_through_both_stages_and_loads(recipe, tmp_path, capsys):
    from peft import AutoPeftModelForCausalLM

    assert run(["train", str(recipe), "lora.r=4", "lora.alpha=8", "--json"]) == 0
    payload = last_json(capsys)
    assert payload["first_loss"] == pytest.approx(0.6931472, abs=1e-5)
    assert (Path(payload["model"]) / "adapter_model.safetensors").exists()
    AutoPeftModelForCausalLM.from_pretrained(payload["model"])


def test_ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on(recipe, tmp_path):
    command = [sys.executable, "-m", "tropism", "train", str(recipe), "train.max_steps=2000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    log = tmp_path / "run" / "sft" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") > 3):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    line = errors.strip().splitlines()[-1]
    assert line.startswith("error: Interrupted after step ")
    assert line.endswith(f"Go on with: tropism train {recipe} train.max_steps=2000 --resume")
    assert list((tmp_path / "run" / "sft").glob("checkpoint-*"))
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("killed_at", [2, 5])
def test_a_killed_run_resumes_to_the_same_bits(recipe, tmp_path, capsys, killed_at):
    saving = ["train.save_strategy=steps", "train.save_steps=2", "train.max_steps=5", "evaluation.prompts=1"]
    assert run(["train", str(recipe), *saving, f"output={tmp_path}/straight"]) == 0
    script = (
        "import os, sys; from tropism.training.loop import trainer; from tropism.cli import run\n"
        "save = trainer.PreferenceTrainer._save_checkpoint\n"
        "def kill(self, *a):\n"
        "    save(self, *a)\n"
        f"    if 'dpo' in self.args.output_dir and self.state.global_step == {killed_at}: os.kill(os.getpid(), 9)\n"
        "trainer.PreferenceTrainer._save_checkpoint = kill\n"
        "run(sys.argv[1:])"
    )
    arguments = ["train", str(recipe), *saving]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, check=False, timeout=120)
    assert done.returncode == -9
    assert run([*arguments, "--resume"]) == 0
    capsys.readouterr()
    for name in ("straight", "run"):
        assert (tmp_path / name / "dpo" / "model" / "model.safetensors").exists()
    straight, resumed = (
        (tmp_path / name / "dpo" / "model" / "model.safetensors").read_bytes() for name in ("straight", "run")
    )
    assert straight == resumed
    lines = [json.loads(line) for line in (tmp_path / "run" / "dpo" / "log.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "loss" in line]
    assert [line["step"] for line in lines if "probe_kl" in line] == [0, 1, 2, 3, 4, 5]
    assert steps == [1, 2, 3, 4, 5]


def test_resume_refuses_another_recipe_and_an_empty_folder(recipe, tmp_path, capsys):
    assert "there is nothing to resume" in error_line(capsys, "train", str(recipe), "--resume")
    assert run(["train", str(recipe), "evaluation.prompts=1"]) == 0
    changed = error_line(
        capsys, "train", str(recipe), "stages.dpo.loss.dpo.beta=0.9", "evaluation.prompts=1", "--resume"
    )
    assert "holds a run with other settings (stages)." in changed
    assert "--resume and --overwrite exclude each other" in error_line(
        capsys, "train", str(recipe), "--resume", "--overwrite"
    )


def test_a_used_output_folder_is_not_overwritten_unasked(recipe, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    for flags in ([], ["--overwrite"]):
        assert "is not empty and holds no run." in error_line(capsys, "train", str(recipe), *flags)
    assert "there is nothing to resume" in error_line(capsys, "train", str(recipe), "--resume")
    assert (tmp_path / "run" / "thesis.txt").read_text() == "mine"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_overwrite_replaces_a_run_and_nothing_else(recipe, tmp_path, capsys):
    short = ["stages=null", "evaluation.prompts=1"]
    assert run(["train", str(recipe), *short]) == 0
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert "holds a run. Give another `output`" in error_line(capsys, "train", str(recipe), *short)
    before = contents(tmp_path / "run")
    broken = error_line(capsys, "train", str(recipe), *short, "data.max_tokens=10", "--overwrite")
    assert "no group is left" in broken
    assert contents(tmp_path / "run") == before
    own = error_line(capsys, "train", str(recipe), *short, f"model={tmp_path}/run/dpo/model", "--overwrite")
    assert "--overwrite would delete its own input" in own
    assert contents(tmp_path / "run") == before
    assert run(["train", str(recipe), "evaluation.prompts=1", "--overwrite"]) == 0
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert {path.name for path in (tmp_path / "run").iterdir() if path.is_dir()} == {"sft", "dpo", "evaluation"}


def test_resume_refuses_data_that_has_changed(recipe, tmp_path, capsys):
    assert run(["train", str(recipe), "evaluation.prompts=1"]) == 0
    lines = (tmp_path / "pairs.jsonl").read_text().splitlines()
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines[:-5]) + "\n")
    changed = error_line(capsys, "train", str(recipe), "evaluation.prompts=1", "--resume")
    assert "holds a run with other settings (contents of the data)." in changed


LATE_RULE = """
calls = []
def shorter(prompt, answer):
    calls.append(answer)
    if len(calls) > 2:
        {end}
    return 0.0
"""
"""A judge that passes its trial on two answers before training, and ends after them."""


def test_ctrl_c_while_it_evaluates_says_how_to_go_on(recipe, tmp_path, capsys):
    (tmp_path / "rule.py").write_text(LATE_RULE.format(end="raise KeyboardInterrupt"))
    line = error_line(capsys, "train", str(recipe))
    assert (
        line
        == f"error: Interrupted; what was done is kept in {tmp_path}/run. Go on with: tropism train {recipe} --resume"
    )
    (tmp_path / "rule.py").write_text("def shorter(prompt, answer):\n    return -len(answer)\n")
    assert run(["train", str(recipe), "--resume"]) == 0


def test_a_judge_that_fails_is_one_line(recipe, tmp_path, capsys):
    (tmp_path / "rule.py").write_text("def shorter(prompt, answer):\n    return {}['x']\n")
    assert "failed with KeyError: 'x' on the answer" in error_line(capsys, "train", str(recipe))


def test_a_log_with_fewer_lines_than_steps_is_no_problem(recipe, capsys):
    assert run(["train", str(recipe), "train.logging_steps=100", "--json"]) == 0
    assert last_json(capsys)["first_loss"] == pytest.approx(0.6931472, abs=1e-5)


def test_two_processes_train_two_stages_and_report_once(recipe, tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--master-port=29631",
        "-m",
        "tropism",
    ]
    settings = ["train.ddp_backend=gloo", "train.eval_strategy=steps", "train.eval_steps=2", "data.holdout=0.05"]
    done = subprocess.run(
        [*command, "train", str(recipe), *settings],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run" / "report.html").exists()
    assert done.stdout.count("Next: ") == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.train=/nowhere/pairs.jsonl", "/nowhere/pairs.jsonl"),
        ("model=/nowhere/model", "the model folder /nowhere/model does not exist."),
        ("data.max_tokens=10", "no group is left for training stage 'sft'"),
        ("data.max_tokens=999", "data.max_tokens must be at most 256, the context of"),
        ("lss=dpo", "the recipe has an unknown key 'lss'. Did you mean 'loss'?"),
        ("loss.dpo.bta=1", "loss 'dpo' has no setting 'bta'. Did you mean 'beta'?"),
        ("train.learning_rat=1", "Did you mean 'learning_rate'?"),
        ("train.lr_scheduler_type=cosin", "`train` of stage"),
        ("reference=adapter", "reference 'adapter' switches a LoRA adapter off, but the model has none."),
        ("evaluation.judge=nowhere.py:rule", "the judge 'nowhere.py:rule' cannot be loaded"),
        ("data.holdout=0.0001", "holdout"),
        ("train.label_smoothing_factor=0.1", "train.label_smoothing_factor smooths the labels of tokens"),
        ("train.gradient_accumulation_steps=0", "a step needs at least one group, not 4 x 0."),
        ("lora={targets: [nope]}", "lora.targets=['nope'] does not fit the model"),
        ("data.holdout=0", "evaluation.judge has no effect: there are no held-out prompts to answer."),
        ("reference=none", "stage 'dpo' has reference 'none', but dpo compares with one. Use reference: cached."),
    ],
)
def test_every_error_is_one_line_and_leaves_nothing_half_written(recipe, tmp_path, capsys, override, message):
    stages = [] if override.startswith(("data.max", "train.lr")) else ["stages=null"]
    line = error_line(capsys, "train", str(recipe), override, *stages)
    assert message in line
    assert not list(tmp_path.glob("run/**/model"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["evaluation", "run.json", "recipe.yaml", "report.html"])
def test_a_stage_is_not_named_as_a_file_of_the_run(recipe, tmp_path, capsys, name):
    line = error_line(capsys, "train", str(recipe), f"stages=[{{name: {name}}}]")
    assert f"a stage must not be named {name!r}" in line
    assert not (tmp_path / "run").exists()


def test_the_end_is_at_most_fifteen_lines_of_eighty_columns_in_words(recipe, tmp_path, capsys):
    quick = ["evaluation.prompts=2", "train.max_steps=2", "train.learning_rate=0.05", "alarms.kl.threshold=0.01"]
    assert run(["train", str(recipe), *quick]) == 0
    lines = capsys.readouterr().out.splitlines()
    report = read_summary(tmp_path / "run")
    end = lines[lines.index(report[0]) :]
    assert end[: len(report)] == report
    assert len(end) <= 15
    assert all(len(line) <= 80 for line in end if not line.startswith(("Model: ", "Next: ")))
    assert any(line.startswith("Alarms, explained in the report: ") for line in end)
    assert not re.search(r"[a-z]+_[a-z]+|preference\.|drift\.", "\n".join(report))


def read_summary(folder: Path) -> list[str]:
    from tropism.reporting.summary import summary_lines

    return summary_lines([folder])


def test_errors_are_json_for_programs(recipe, capsys):
    status = run(["train", str(recipe), "model=/nowhere/model", "--json"])
    captured = capsys.readouterr()
    assert status == 2
    error = json.loads(captured.out.strip().splitlines()[-1])["error"]
    assert error["kind"] == "ModelError"
    assert error["remedy"] == "Check the path."


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").exists(), reason="root may write anywhere")
def test_an_output_that_cannot_be_made_is_one_line(recipe, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    line = error_line(capsys, "train", str(recipe), f"output={tmp_path}/file/run")
    assert "Free some space or choose another folder." in line


def test_help_and_version_load_no_torch():
    script = (
        "import sys, tropism, tropism.cli\n"
        "assert tropism.cli.run(['--version']) == 0\n"
        "assert tropism.cli.run(['--help']) == 0\n"
        "heavy = {'torch', 'transformers', 'pandas', 'ibis', 'pyarrow', 'matplotlib', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout


@pytest.mark.parametrize("arguments", [["nope"], ["train"], ["build", "--prmt", "x"]])
def test_a_wrong_command_line_is_no_traceback(arguments, capsys):
    assert run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_r2_a_run_killed_before_its_mark_is_whole_is_started_by_the_same_command_and_by_resume(recipe, tmp_path):
    short = ["stages=null", "evaluation.prompts=1"]
    for more in ([], ["--resume"]):
        folder = tmp_path / f"run{len(more)}"
        folder.mkdir()
        (folder / ".tropism.lock").write_text("99999999")
        (folder / "..tropism.json.abcd1234.tmp").write_text('{"kind"')
        assert run(["train", str(recipe), *short, f"output={folder}", *more]) == 0
        assert sorted(path.name for path in folder.iterdir()) == [
            ".tropism.json", "dpo", "evaluation", "recipe.yaml", "report.html", "run.json"
        ]  # fmt: skip


def test_r3_states_that_a_kill_left_beside_a_finished_stage_go_with_the_next_start(recipe, tmp_path):
    short = ["stages=null", "evaluation.prompts=1"]
    assert run(["train", str(recipe), *short]) == 0
    for name in ("chosen-2", ".model.abcd1234"):
        (tmp_path / "run" / "dpo" / name).mkdir()
    (tmp_path / "run" / ".run.json.abcd1234.tmp").write_text("half")
    assert run(["train", str(recipe), *short, "--resume"]) == 0
    assert not [path for path in (tmp_path / "run").rglob("*") if path.name.startswith(("chosen", ".run", ".model"))]


def test_r15_a_second_run_in_the_folder_of_a_live_one_is_refused(recipe, tmp_path, capsys):
    script = f"import sys; sys.path[:0] = {sys.path}; from tropism.cli import run; run(sys.argv[1:])"
    long = [sys.executable, "-c", script, "train", str(recipe), "train.max_steps=2000"]
    with subprocess.Popen(long, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (tmp_path / "run" / "sft" / "log.jsonl").exists():
            time.sleep(0.05)
        for flag in ("--overwrite", "--resume"):
            line = error_line(capsys, "train", str(recipe), flag)
            assert f"another command (process {process.pid}) is writing to the output folder {tmp_path}/run." in line
        process.kill()
    assert run(["train", str(recipe), "evaluation.prompts=1", "--overwrite"]) == 0


def test_f11_a_resume_may_change_the_evaluation_and_keeps_the_training(recipe, tmp_path, capsys):
    (tmp_path / "rule.py").write_text(LATE_RULE.format(end="raise KeyError"))
    assert run(["train", str(recipe)]) == 0  # the training is kept, and the missing measure is told
    assert "Not measured: win_rate, because judge" in " ".join(capsys.readouterr().out.split())
    trained = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("*/model/*")}
    (tmp_path / "rule.py").write_text("def longer(prompt, answer):\n    return len(answer)\n")
    changes = [f"evaluation.judge={tmp_path}/rule.py:longer", "evaluation.prompts=2", "--json"]
    assert run(["train", str(recipe), *changes, "--resume"]) == 0
    assert last_json(capsys)["win_rate"]["n"] == 2
    assert trained == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("*/model/*")}
    assert "longer" in (tmp_path / "run" / "recipe.yaml").read_text()
