"""Comments to preference groups: CPU seconds and memory at 1, 3 and 10 million, beside a plain pandas script.

    python benchmarks/signals.py                    # all of it; results go to benchmarks/results/signals.json
    python benchmarks/signals.py --sizes 1 --ways duckdb pandas

Every measurement is a process of its own, so that memory is its own peak. The data are made by a seeded simulation:
threads of about ten comments, votes with a heavy tail, times and authors. Each way reads the same Parquet file and
writes groups. `duckdb` is `tropism build` itself, data card and probes included; `spark` is the same with
`--engine spark`; `pandas` is the obvious loop over threads, and `pandas-merge` the best that we know to do with pandas.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "signals.json"
COMMENTS_PER_THREAD = 10
MIN_GAP, CAP = 2, 5
LARGEST = {"pandas": 3.0, "pandas-merge": 3.0, "spark": 1.0}
"""Millions of comments beyond which a way is not asked: pandas would need more memory than the machine has."""

BUILD = [
    "--prompt", "question", "--response", "answer", "--score", "score", "--group", "thread", "--time", "at",
    "--author", "author", "--rule", "gap", "--min-gap", str(MIN_GAP), "--cap", str(CAP),
]  # fmt: skip


def make_comments(path: Path, count: int) -> None:
    """Write so many comments, in random order, with a tenth as many threads."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(2_000)])
    pool = np.array([" ".join(rng.choice(words, rng.integers(4, 40))) for _ in range(20_000)])
    threads = count // COMMENTS_PER_THREAD
    sizes = np.minimum(rng.geometric(1 / COMMENTS_PER_THREAD, threads), 60)
    thread = np.repeat(np.arange(threads), sizes)
    thread = np.concatenate([thread, rng.integers(0, threads, max(0, count - len(thread)))])[:count]
    thread = rng.permutation(thread)
    names = ["thread", "question", "answer", "score", "at", "author"]
    kinds = [pa.string(), pa.string(), pa.string(), pa.int64(), pa.int64(), pa.string()]
    with pq.ParquetWriter(path, pa.schema(list(zip(names, kinds, strict=True)))) as writer:
        for start in range(0, count, 200_000):
            part = thread[start : start + 200_000]
            number = np.arange(start, start + len(part)).astype(str)
            columns = [
                np.char.add("t", part.astype(str)),
                np.char.add(np.char.add(pool[part % len(pool)], " "), part.astype(str)),
                np.char.add(np.char.add(pool[rng.integers(0, len(pool), len(part))], " "), number),
                np.floor(3 * rng.pareto(1.2, len(part)) - 1).clip(-1, 1e6).astype(np.int64),
                1_600_000_000 + rng.integers(0, 10**7, len(part)),
                np.char.add("u", rng.integers(0, max(1, count // 20), len(part)).astype(str)),
            ]
            arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
            writer.write_table(pa.table(arrays, names=names), row_group_size=100_000)


def plain_pandas(source: Path, target: Path) -> int:
    """What one would write first: for every thread its answers, for every two of them the rule."""
    import itertools

    import pandas as pd

    rows, num_edges = [], 0
    for name, thread in pd.read_parquet(source).groupby("thread"):
        thread = thread.drop_duplicates("answer").sort_values("score", ascending=False, kind="stable")
        answers = list(thread.itertuples())
        pairs = [
            (winner.score - loser.score, place, other)
            for (place, winner), (other, loser) in itertools.combinations(enumerate(answers), 2)
            if winner.score - loser.score >= MIN_GAP
        ]
        if not pairs:
            continue
        pairs = sorted(pairs, key=lambda pair: -pair[0])[:CAP]
        num_edges += len(pairs)
        rows.append(
            {
                "group_id": name,
                "prompt": answers[0].question,
                "responses": [{"content": answer.answer, "score": answer.score} for answer in answers],
                "edges": [{"winner": winner, "loser": loser} for _, winner, loser in pairs],
            }
        )
    pd.DataFrame(rows).to_parquet(target)
    return num_edges


def merged_pandas(source: Path, target: Path) -> int:
    """What an expert of pandas would write: a merge of the table with itself, and loops for the groups only."""
    import pandas as pd

    comments = pd.read_parquet(source).drop_duplicates(["thread", "question", "answer"])
    comments = comments.reset_index(drop=True)
    comments["place"] = comments.index
    sides = comments[["thread", "place", "score"]]
    pairs = sides.merge(sides, on="thread", suffixes=("_winner", "_loser"))
    pairs["gap"] = pairs.score_winner - pairs.score_loser
    pairs = pairs[pairs.gap >= MIN_GAP].sort_values(["thread", "gap"], ascending=[True, False])
    pairs = pairs.groupby("thread").head(CAP)
    kept = comments[comments.thread.isin(pairs.thread.unique())]
    edges = {
        name: list(zip(part.place_winner, part.place_loser, strict=True)) for name, part in pairs.groupby("thread")
    }
    rows = []
    for name, part in kept.groupby("thread"):
        place = {number: at for at, number in enumerate(part.place)}
        rows.append(
            {
                "group_id": name,
                "prompt": part.question.iloc[0],
                "responses": [
                    {"content": text, "score": score} for text, score in zip(part.answer, part.score, strict=True)
                ],
                "edges": [{"winner": place[winner], "loser": place[loser]} for winner, loser in edges[name]],
            }
        )
    pd.DataFrame(rows).to_parquet(target)
    return len(pairs)


def run_way(way: str, source: Path, target: Path) -> int:
    """Make the groups in this process; how many edges came of it."""
    if way == "pandas":
        return plain_pandas(source, target)
    if way == "pandas-merge":
        return merged_pandas(source, target)
    from tropism.cli import run

    engine = [] if way == "duckdb" else ["--engine", "local[2]"]
    status = run(["build", str(source), *BUILD, *engine, "-o", str(target), "--overwrite"])
    assert status == 0, f"tropism build ended with {status}"
    import pyarrow.parquet as pq

    card = json.loads(pq.read_schema(target).metadata[b"tropism.card"])
    return int(card["account"]["edges"])


def measure(way: str, source: Path, folder: Path) -> dict[str, Any]:
    """One way in a process of its own."""
    command = [sys.executable, __file__, "--child", way, str(source), str(folder / f"{way}.parquet")]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"status {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"wall_seconds": round(time.perf_counter() - started, 1)}


def child(way: str, source: Path, target: Path) -> None:
    """Measure in this process; CPU seconds and peak memory count the processes that it started (Spark's JVM)."""
    edges = run_way(way, source, target)
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, memory = own.ru_utime + own.ru_stime, peak_kilobytes(os.getpid())
    if way == "spark":
        jvm = jvm_usage()
        cpu, memory = cpu + jvm[0], memory + jvm[1]
    print(
        json.dumps(
            {
                "edges": edges,
                "cpu_seconds": round(cpu + others.ru_utime + others.ru_stime, 1),
                "peak_memory_mb": round(memory / 1024),
                "output_mb": round(target.stat().st_size / 1e6, 1),
            }
        )
    )


def peak_kilobytes(process: int) -> float:
    """Peak resident memory; not by getrusage, whose figure a new process inherits from the one that started it."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(float(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def jvm_usage() -> tuple[float, float]:
    """CPU seconds and peak resident kilobytes of the Java processes below this one, while they live."""
    import psutil

    cpu = memory = 0.0
    for process in psutil.Process().children(recursive=True):
        if "java" in process.name():
            times = process.cpu_times()
            cpu += times.user + times.system
            memory += peak_kilobytes(process.pid)
    return cpu, memory


def main() -> None:
    """Measure alternately and write the results after every one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=float, default=[1, 3, 10], help="millions of comments")
    parser.add_argument("--ways", nargs="+", default=["duckdb", "pandas", "pandas-merge", "spark"])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--child", nargs=3, metavar=("WAY", "SOURCE", "TARGET"))
    arguments = parser.parse_args()
    if arguments.child:
        way, source, target = arguments.child
        child(way, Path(source), Path(target))
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="tropism-bench-") as name:
        folder = Path(name)
        for size in arguments.sizes:
            source = folder / "comments.parquet"
            make_comments(source, int(size * 1e6))
            for repeat in range(arguments.repeats):
                for way in arguments.ways:
                    if size > LARGEST.get(way, size):
                        continue
                    row = {"way": way, "millions": size, "repeat": repeat, **measure(way, source, folder)}
                    rows.append(row)
                    print(row, flush=True)
                    write(rows, arguments.results)


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """Keep what was measured so far, with the ratios that the documentation quotes."""

    def median(way: str, size: float, what: str) -> float | None:
        found = [row[what] for row in rows if row["way"] == way and row["millions"] == size and what in row]
        return statistics.median(found) if found else None

    ratios: dict[str, float] = {}
    base = median("duckdb", 1, "cpu_seconds")
    for size in sorted({row["millions"] for row in rows}):
        ours = median("duckdb", size, "cpu_seconds")
        if ours and base:
            ratios[f"growth of CPU seconds to {size:g} M, over linear"] = round(ours / base / size, 3)
        for way in ("pandas", "pandas-merge", "spark"):
            for what, called in (("cpu_seconds", "CPU seconds"), ("peak_memory_mb", "memory")):
                theirs, own = median(way, size, what), median("duckdb", size, what)
                if theirs and own:
                    ratios[f"{way} / duckdb, {called}, {size:g} M"] = round(theirs / own, 2)
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "rows": rows, "ratios": ratios}, indent=1) + "\n")


if __name__ == "__main__":
    main()
