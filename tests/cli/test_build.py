"""`tropism build` from the outside."""

import json
import shlex
from pathlib import Path

import pytest

from tropism.cli import run
from tropism.data.group_store import read_card, read_groups_file

ROWS = "prompt,response,score,when,who\nQ,a a,5,1,ann\nQ,b,2,2,bob\nQ,c,2,1,\nR,[deleted],1,1,ann\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "votes.csv").write_text(ROWS)
    return tmp_path


def test_build_writes_groups_with_their_card(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "votes.csv", "--time", "when", "--author", "who"]) == 0
    shown = capsys.readouterr().out
    assert "1 groups, 3 responses, 2 edges" in " ".join(shown.split())
    assert "chosen_earlier" in shown
    assert shown.rstrip().endswith("Next: tropism train RECIPE.yaml data.train=groups.parquet")
    (group,) = read_groups_file(folder / "groups.parquet")
    assert [group.responses[edge.winner].content for edge in group.edges] == ["a a", "a a"]
    card = read_card(folder / "groups.parquet")
    assert card is not None
    assert (card.source, card.account.dropped) == ("votes.csv", {"deleted response": 1})


def test_build_ends_with_one_json_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "votes.csv", "-o", "new/g.parquet", "--cap", "1", "--json"]) == 0
    shown = capsys.readouterr()
    (line,) = shown.out.splitlines()
    report = json.loads(line)
    confounds, tables = report.pop("confounds"), report.pop("tables")
    assert report.pop("pairs_per_thread") == {"mean": 1.0, "median": 1.0, "most": 1.0, "share of the top 1 %": 1.0}
    assert tables == []
    assert report == {
        "kind": "votes",
        "rows_read": 4,
        "rows_used": 3,
        "dropped": {"deleted response": 1},
        "groups": 1,
        "responses": 3,
        "edges": 1,
        "labels": 0,
        "ties": 0,
        "notes": {"responses without an edge": 1, "pairs over the cap": 1},
        "split_keys": 0,
        "rule": "gap: the winner leads by at least 1; at most 1 edge per thread, the largest gaps first",
        "output": "new/g.parquet",
    }
    assert confounds["chosen_longer"]["value"] == 1.0
    assert "rows read" in shown.err
    assert (folder / "new" / "g.parquet").exists()


def test_build_writes_pairs(folder: Path) -> None:
    assert run(["build", "votes.csv", "-o", "pairs.jsonl", "--min-gap", "3", "--weight", "gap"]) == 0
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    assert sorted(pair["rejected"] for pair in pairs) == ["b", "c"]
    assert {(pair["prompt"], pair["chosen"], pair["weight"]) for pair in pairs} == {("Q", "a a", 3.0)}


def test_build_writes_labels_as_trl_reads_them(folder: Path) -> None:
    (folder / "thumbs.csv").write_text("prompt,response,label\nQ,good,up\nQ,bad,down\nQ,good,up\n")
    assert run(["build", "labels", "thumbs.csv", "--weight", "count", "-o", "labels.jsonl"]) == 0
    lines = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    assert sorted(lines, key=lambda line: line["completion"]) == [
        {"prompt": "Q", "completion": "bad", "label": False},
        {"prompt": "Q", "completion": "good", "label": True, "weight": 2.0},
    ]


def test_build_uses_the_shp_rule(folder: Path) -> None:
    assert run(["build", "votes.csv", "--rule", "shp", "--time", "when", "--min-ratio", "2.5"]) == 0
    (group,) = read_groups_file(folder / "groups.parquet")
    assert [group.responses[edge.loser].content for edge in group.edges] == ["c"]


SHP = ["build", "asked.csv", "--rule", "shp", "--time", "when", "--prompt-score", "asked", "--min-prompt-score", "3"]


def test_votes_of_prompts_are_asked_for_in_the_rule_and_unknown_ones_pass(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "Q,a,5,2,3\nQ,b,2,1,\nR,a,5,2,2.9\nR,b,2,1,2.9\n"
    (folder / "asked.csv").write_text(f"prompt,response,score,when,asked\n{rows}")
    assert run([*SHP, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["edges"], report["dropped"]) == (1, {"prompt has fewer than 3 votes": 2})
    assert report["rule"].endswith("; prompts have at least 3 votes if that is known")


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_votes_of_prompts_are_finite(number: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "asked.csv").write_text(f"prompt,response,score,when,asked\nQ,a,5,2,{number}\nQ,b,2,1,9\n")
    assert run(SHP) == 2
    problem = capsys.readouterr().err
    assert problem.startswith("error: row 1: column 'asked' must hold a finite number, got ")


def test_build_never_replaces_a_file_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "groups.parquet").write_text("mine")
    assert run(["build", "votes.csv"]) == 3
    assert capsys.readouterr().err == (
        "error: groups.parquet exists. Name another file with --output, or replace it with --overwrite.\n"
    )
    assert (folder / "groups.parquet").read_text() == "mine"
    assert run(["build", "votes.csv", "--overwrite"]) == 0
    assert len(list(read_groups_file(folder / "groups.parquet"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("votes --min-ratio 2", "--min-ratio has no effect with --rule gap. Omit it, or use rule ratio or shp."),
        ("votes --salt x", "--salt has no effect without --private. Add --private."),
        ("votes --private --salt=", "--salt must not be empty. Omit it to draw a new salt."),
        (
            "votes --rule shp --time when --min-prompt-score 3",
            "--min-prompt-score has no effect without --prompt-score. Name the column with --prompt-score.",
        ),
        (
            "votes --prompt-score when",
            "--prompt-score has no effect with the rule gap. Omit it, or use the rule shp.",
        ),
        ("votes --accepted when", "--accepted has no effect with the rule gap. Omit it, or use the rule log2."),
        ("votes --keep-bots", "--keep-bots has no effect without --author. Name the column with --author."),
        ("votes --cap 0", "--cap must be at least 1, got 0. Omit it for no cap."),
        ("votes --min-gap 0", "--min-gap must be a number above 0, got 0.0. Use 1, one vote, for every lead."),
        (
            "ratings --pairing best-random --min-score 2",
            "--min-score has no effect with --pairing best-random, which makes one untied pair per thread. Omit it.",
        ),
        (
            "ratings --score who",
            "row 1: column 'who' must hold a number, got 'ann' (2 such rows). "
            "Correct it, or drop and count such rows with --skip-bad.",
        ),
        (
            "rankings --rank score --truth majority",
            "--truth majority has no effect on rankings without annotators: votes.csv is read as one ranking per "
            "thread. Name the column with --annotator, or omit it.",
        ),
        (
            "rankings --rank score --weight count",
            "--weight count has no effect on rankings without annotators: votes.csv is read as one ranking per "
            "thread. Name the column with --annotator, or omit it.",
        ),
        (
            "votes --holdout 0.5 -o pairs.jsonl",
            "--holdout has no effect with pairs.jsonl: TRL's columns do not say what is held out. "
            "Use -o groups.parquet, or omit --holdout.",
        ),
        ("votes --holdout 1.5", "--holdout must be between 0 and 1, got 1.5. Use 0.1, for example."),
        (
            "votes --rule shp --later --time when",
            "--later has no effect on the rule shp: its winner is never earlier. Omit it.",
        ),
        ("votes --asker who", "--asker has no effect without --author. Name the column with --author."),
        ("votes --drop-if who --drop-if who", "--drop-if names the column 'who' twice. Name it once."),
        (
            "votes --drop-if nsfw",
            "votes.csv has no column 'nsfw'; its columns are prompt, response, score, when, who. Name one of them "
            "with --drop-if.",
        ),
        ("votes --as-of 2026-03-01", "--as-of has no effect without --settled. Set --settled to 7 days."),
        (
            "votes --time when --settled 7 --as-of today",
            "--as-of must be a time (ISO 8601, or seconds since 1970), got 'today'. Use 2026-03-01, for example.",
        ),
        (
            "votes -o groups.csv",
            "--output must end in .parquet (groups) or .jsonl (pairs or labels), got 'groups.csv'. "
            "Use groups.parquet for `tropism train`.",
        ),
        (
            "votes --score scores",
            "votes.csv has no column 'scores'; its columns are prompt, response, score, when, who. "
            "Did you mean 'score'? Name it with --score.",
        ),
        (
            "votes --score response",
            "--response and --score both name the column 'response'. "
            "Give --score another column or, if it is optional, omit it.",
        ),
        (
            "votes --score who",
            "row 1: column 'who' must hold a number, got 'ann' (2 such rows). "
            "Correct it, or drop and count such rows with --skip-bad.",
        ),
        (
            "--rank place",
            "votes.csv has no column 'place'; its columns are prompt, response, score, when, who. "
            "Name one of them with --rank.",
        ),
    ],
)
def test_build_ends_in_one_clear_error_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    kind, *options = arguments.split()
    called = [kind, "votes.csv", *options] if kind.isalpha() else ["votes.csv", kind, *options]
    assert run(["build", *called]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["votes.csv"]


@pytest.mark.parametrize(
    ("kind", "foreign"),
    [
        ("votes", "--rank r"),
        ("votes", "--weight count"),
        ("choices", "--keep-bots"),
        ("choices", "--settled 7"),
        ("choices", "--author who"),
        ("labels", "--min-gap 1"),
        ("labels", "--cap 3"),
        ("rankings", "--rule gap"),
        ("ratings", "--truth soft"),
    ],
)
def test_a_kind_only_has_the_options_that_mean_something_for_it(
    folder: Path, capsys: pytest.CaptureFixture[str], kind: str, foreign: str
) -> None:
    assert run(["build", kind, "votes.csv", *foreign.split()]) == 2
    assert foreign.split()[0] in capsys.readouterr().err
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["votes.csv"]


@pytest.mark.parametrize("kind", ["votes", "ratings", "rankings", "choices", "labels"])
def test_help_of_a_kind_is_one_screen_with_an_example(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["build", kind, "--help"]) == 0
    lines = capsys.readouterr().out.rstrip().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith(f"Example: tropism build {kind} ")


KINDS = {
    "votes": "prompt,response,score\nQ,a,3\nQ,b,1\n",
    "rankings": "prompt,response,rank\nQ,a,1\nQ,b,2\n",
    "choices": "prompt,response_a,response_b,choice\nQ,a,b,a\n",
    "labels": "prompt,response,label\nQ,a,up\nQ,b,down\n",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_is_found_by_the_columns_and_told(kind: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "found.csv").write_text(KINDS[kind])
    assert run(["build", "found.csv", "-o", "found.parquet", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["kind"] == kind
    assert f"found.csv is read as {kind} (columns prompt, " in shown.err


def test_named_columns_and_weights_decide_the_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other.csv").write_text("q,a,stars,tone\nQ,a,3,1\nQ,b,1,1\n")
    columns = ["--prompt", "q", "--response", "a"]
    assert run(["build", "other.csv", *columns, "--score", "stars", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "votes"
    aspects = ["--score", "stars=2", "--score=tone"]
    assert run(["build", *columns, *aspects, "other.csv", "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "ratings"


def test_a_file_of_no_kind_says_what_to_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other.csv").write_text("q,a,stars\nQ,a,3\n")
    assert run(["build", "other.csv"]) == 2
    problem = capsys.readouterr().err
    assert "other.csv has the columns q, a, stars, and no kind of feedback has all of its columns there" in problem
    assert "tropism build votes other.csv --prompt COLUMN --response COLUMN --score COLUMN" in problem


@pytest.mark.parametrize("kind", [[], ["votes"], ["choices"]])
def test_pairs_need_no_build(kind: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "pairs.jsonl").write_text('{"prompt": "Q", "chosen": "a", "rejected": "b"}\n')
    assert run(["build", *kind, "pairs.jsonl"]) == 2
    assert capsys.readouterr().err == (
        "error: pairs.jsonl holds pairs (columns chosen, rejected): no build is needed. Train on it directly: tropism "
        "train RECIPE.yaml data.train=pairs.jsonl.\n"
    )


@pytest.mark.parametrize(
    ("name", "kind", "form", "edges"),
    [
        ("stackexchange_coffee.jsonl", "votes", "posts", 150),
        ("oasst_en_100_trees.jsonl", "rankings", "oasst", 732),
    ],
)
def test_files_of_other_tools_are_found_by_their_form(
    name: str, kind: str, form: str, edges: int, folder: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(real_data / "data" / name)
    assert run(["build", path, "--json"]) == 0
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert (report["kind"], report["edges"]) == (kind, edges)
    assert f"{path} is read as {kind} (form {form})." in shown.err
    assert run(["build", "labels", path, "--overwrite"]) == 2
    assert f"{name} is a file of the form {form}, which does not hold labels." in capsys.readouterr().err
    assert run(["build", kind, path, "--prompt", "text", "--overwrite"]) == 2
    assert f"--prompt has no effect on {name}: a file of the form {form} has known columns." in capsys.readouterr().err


def test_build_leaves_out_what_it_is_told_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "reddit.csv").write_text(
        "post,link_id,body,score,created_utc,author,distinguished,edited,parent_id,op\n"
        "Q,t3_q,one two,9,0,ann,,false,t3_q,olga\n"
        "Q,t3_q,three four,2,86400,bob,,false,t3_q,olga\n"
        "Q,t3_q,read the rules,8,0,cem,moderator,false,t3_q,olga\n"
        "Q,t3_q,five six,7,0,dee,,1614592800.0,t3_q,olga\n"
        "Q,t3_q,thank you,6,0,olga,,false,t3_q,olga\n"
        "Q,t3_q,no that,5,0,eva,,false,t1_x,olga\n"
        "Q,t3_q,no,4,0,fay,,false,t3_q,olga\n"
        "Q,t3_q,too many words,4,0,gil,,false,t3_q,olga\n"
        "Q,t3_q,of today,3,172800,hal,,false,t3_q,olga\n"
        "Q,t3_q,who knows,3,0,[deleted],,false,t3_q,olga\n"
    )
    columns = ["--prompt", "post", "--response", "body", "--group", "link_id"]
    columns += ["--time", "created_utc", "--author", "author"]
    left_out = ["--drop-if", "distinguished", "--drop-if", "edited", "--asker", "op", "--parent", "parent_id"]
    left_out += ["--known-authors", "--min-words", "2", "--max-words", "2", "--settled", "1", "--as-of", "1970-01-03"]
    assert run(["build", "reddit.csv", *columns, *left_out, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["dropped"] == {
        "author is missing or deleted": 1,
        "marked distinguished": 1,
        "marked edited": 1,
        "reply to another answer": 1,
        "response has fewer than 2 words": 1,
        "response has more than 2 words": 1,
        "written by the asker": 1,
        "younger than 1 day on 1970-01-03T00:00:00Z": 1,
    }
    assert report["rule"].endswith(
        "; excluded: marked distinguished, marked edited, written by the asker, author missing or deleted, replies to "
        "another answer, fewer than 2 words, more than 2 words, younger than 1 day on 1970-01-03T00:00:00Z"
    )
    (group,) = read_groups_file(folder / "groups.parquet")
    assert [response.content for response in group.responses] == ["one two", "three four"]


def aspects_file(folder: Path) -> Path:
    """Two prompts; of each the first answer is more helpful by 4 and less honest by 2."""
    stars = {"helpful_response_1": 5, "helpful_response_2": 1, "honest_response_1": 2, "honest_response_2": 4}
    responses = {name: [{"value": value, "user_id": "u"}] for name, value in stars.items()}
    records = [
        {"id": key, "fields": {"prompt": key, "response_1": "a", "response_2": "b"}, "responses": responses}
        for key in ("Q", "R")
    ]
    path = folder / "argilla.json"
    path.write_text(json.dumps(records))
    return path


@pytest.mark.parametrize(
    ("weights", "winner"),
    [
        (["helpful"], "a"),
        (["honest"], "b"),
        (["helpful", "honest"], "a"),  # 3.5 and 2.5
        (["helpful=1", "honest=3"], "b"),  # 2.75 and 3.25
    ],
)
def test_scores_choose_and_weigh_the_aspects_of_another_tools_file(
    weights: list[str], winner: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = [part for weight in weights for part in ("--score", weight)]
    assert run(["build", "ratings", str(aspects_file(folder)), *scores, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    told = ", ".join(f"{one.partition('=')[0]} ({one.partition('=')[2] or 1})" for one in weights)
    assert report["rule"] == f"lead: the better rated is preferred; rated by the mean of {told}"
    assert report["rows_read"] == report["rows_used"] + sum(report["dropped"].values())
    left_out = {"rating of another aspect": 4} if len(weights) == 1 else {}
    assert report["dropped"] == left_out
    merged = {"ratings of further aspects in the mean of the same annotator and response": 4}
    assert report["notes"] == ({} if len(weights) == 1 else merged)
    groups = list(read_groups_file(folder / "groups.parquet"))
    winners = [group.responses[edge.winner].content for group in groups for edge in group.edges]
    assert winners == [winner, winner]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (
            [],
            "argilla.json holds ratings of 2 aspects, which mean different things: 'helpful', 'honest'. Name those "
            "that count with --score: 'helpful' alone, or weights for several, such as helpful=2 and honest=1.",
        ),
        (
            ["kind"],
            "argilla.json holds no answer to 'kind', which --score or `question` names. Use 'helpful', 'honest'.",
        ),
        (
            ["honest=-1"],
            "the weight of 'honest' in --score must be a number above 0, got -1.0. "
            "Omit the aspect to give it no weight.",
        ),
    ],
)
def test_aspects_are_never_averaged_unasked(
    scores: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [part for score in scores for part in ("--score", score)]
    assert run(["build", "ratings", str(aspects_file(folder)), *given]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not (folder / "groups.parquet").exists()


RATED = {"helpful_response_1": 5, "helpful_response_2": 1}
ASKED = {
    "preference": "response_1",
    "harmless": "response_2",
    "order": ["response_1", "response_2"],
    "order_of_tone": ["response_2", "response_1"],
    "comment": "Response 2 is better",
}


def argilla_file(folder: Path, *questions: str) -> Path:
    """One record of which one person answered the questions of `ASKED` or `RATED`."""
    answers = {name: [{"value": (ASKED | RATED)[name], "user_id": "u"}] for name in questions}
    record = {"id": "r", "fields": {"prompt": "Q", "response_1": "a", "response_2": "b"}, "responses": answers}
    path = folder / "argilla.json"
    path.write_text(json.dumps([record]))
    return path


@pytest.mark.parametrize(
    ("questions", "score", "winner"),
    [
        (("preference", "harmless"), "preference", "a"),
        (("preference", "harmless"), "harmless", "b"),
        (("order", "order_of_tone"), "order_of_tone", "b"),
        (("preference", "comment"), "preference", "a"),
        (("preference", "order", *RATED), "order", "a"),
        (("harmless", *RATED), "helpful", "a"),
    ],
)
def test_score_names_the_one_question_of_choices_or_rankings_that_counts(
    questions: tuple[str, ...], score: str, winner: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = argilla_file(folder, *questions)
    assert run(["build", str(path), "--score" if score == "helpful" else "--question", score, "--json"]) == 0
    (group,) = read_groups_file(folder / "groups.parquet")
    (edge,) = group.edges
    assert (group.responses[edge.winner].content, edge.prob) == (winner, 1.0)
    report = json.loads(capsys.readouterr().out)
    others = {"answer to another question"} if score != "helpful" else set()
    assert others <= report["dropped"].keys()
    assert report["rows_read"] == report["rows_used"] + sum(report["dropped"].values())


@pytest.mark.parametrize(
    ("questions", "given", "message"),
    [
        (
            ("preference", "harmless"),
            ["choices"],
            "argilla.json holds choices of 2 questions, which mean different things: 'preference', 'harmless'. Name "
            "the one that counts: --question preference. A comment that reads like a label may be one of them.",
        ),
        (
            ("preference", "comment"),
            ["choices"],
            "argilla.json holds choices of 2 questions, which mean different things: 'preference', 'comment'. Name "
            "the one that counts: --question preference. A comment that reads like a label may be one of them.",
        ),
        (
            ("order", "order_of_tone"),
            ["rankings"],
            "argilla.json holds rankings of 2 questions, which mean different things: 'order', 'order_of_tone'. Name "
            "the one that counts: --question order. A comment that reads like a label may be one of them.",
        ),
        (
            ("preference",),
            ["choices", "--question", "order"],
            "argilla.json holds no answer to 'order', which `score` or --question names. Use 'preference'.",
        ),
        (("preference",), ["ratings"], "argilla.json holds choices, not ratings. Build choices."),
        (tuple(RATED), ["choices"], "argilla.json holds ratings, not choices. Build ratings."),
    ],
)
def test_what_an_export_does_not_say_or_cannot_use_is_refused(
    questions: tuple[str, ...], given: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", *given[:1], str(argilla_file(folder, *questions)), *given[1:]]) == 2
    assert capsys.readouterr().err == f"error: {message}\n".replace(str(folder), "")
    assert not (folder / "groups.parquet").exists()


def test_an_export_of_two_kinds_asks_which(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = argilla_file(folder, "preference", *RATED)
    assert run(["build", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"error: argilla.json holds ratings and choices. Say which: tropism build ratings {path}, or tropism build "
        f"choices {path}.\n"
    )


def test_a_rated_aspect_may_be_called_as_a_column_is(folder: Path) -> None:
    fields = {"prompt": "Q", "response_1": "a", "response_2": "b"}
    answers = {f"prompt_response_{n}": [{"value": n, "user_id": "u"}] for n in (1, 2)}
    (folder / "argilla.json").write_text(json.dumps([{"id": "r", "fields": fields, "responses": answers}]))
    assert run(["build", "ratings", "argilla.json", "--score", "prompt"]) == 0
    (group,) = read_groups_file(folder / "groups.parquet")
    assert [group.responses[edge.winner].content for edge in group.edges] == ["b"]


def test_build_writes_through_a_symbolic_link(folder: Path) -> None:
    (folder / "disk").mkdir()
    (folder / "groups.parquet").symlink_to(folder / "disk" / "groups.parquet")
    assert run(["build", "votes.csv", "--overwrite"]) == 0
    assert (folder / "groups.parquet").is_symlink()
    assert len(list(read_groups_file(folder / "disk" / "groups.parquet"))) == 1


def recipes_of_the_docs() -> dict[str, list[str]]:
    """The commands in docs/signals.md that read `comments.jsonl`, by their rule."""
    text = (Path(__file__).parents[2] / "docs" / "signals.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("tropism build comments.jsonl")]
    return {command[command.index("--rule") + 1]: command[1:] for command in commands}


@pytest.mark.parametrize("rule", ["quantile", "shp"])
def test_recipes_of_the_docs_leave_out_what_they_say(
    rule: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def comment(number: int, **more: object) -> dict[str, object]:
        """The later, the better; the newest is old enough but for the last line of the file."""
        usual = {"post": "How do I keep slugs away?", "link_id": "t3_q", "parent_id": "t3_q", "author": f"a{number}"}
        unmarked = {"distinguished": None, "edited": False, "is_submitter": False, "post_edited": False}
        of_post = {"post_over_18": False, "post_distinguished": None, "post_author_deleted": False, "post_score": 40}
        told = {"body": f"Put some grit around plant {number}", "score": 2 + number, "created_utc": number * 3_600}
        return usual | unmarked | of_post | told | more

    faults = [
        {"distinguished": "moderator"},
        {"edited": 1_614_592_800.0},
        {"is_submitter": True},
        {"parent_id": "t1_x"},
        {"body": "Grit."},
        {"author": "[deleted]"},
        {"post_over_18": True},
        {"author": "AutoModerator"},
        {"created_utc": 10**7},
    ]
    comments = [comment(number) for number in range(100)]
    comments += [comment(100 + number, **fault) for number, fault in enumerate(faults)]
    (folder / "comments.jsonl").write_text("".join(json.dumps(one) + "\n" for one in comments))
    (folder / "unsafe.txt").write_text("drink bleach\n")
    assert run([*recipes_of_the_docs()[rule], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    both = {"author is a bot", "marked distinguished", "marked is_submitter", "reply to another answer"}
    alone = {
        "quantile": {"marked edited", "response has fewer than 5 words", "younger than 7 days on 1970-04-26T17:46:40Z"},
        "shp": {"marked post_over_18", "author is missing or deleted"},
    }
    assert report["dropped"] == dict.fromkeys(both | alone[rule], 1)
    assert report["edges"] == 5


def test_build_never_replaces_its_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "votes.jsonl").write_text("{}\n")
    assert run(["build", "votes", "votes.jsonl", "-o", "votes.jsonl", "--overwrite"]) == 2
    assert "--output would replace its own input votes.jsonl. Name another file." in capsys.readouterr().err


def test_build_makes_the_counted_edges_of_counsel_chat(
    folder: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ["--prompt", "questionText", "--response", "answerText", "--score", "upvotes", "--group", "questionID"]
    assert run(["build", str(real_data / "data" / "counsel_chat.jsonl"), *columns, "--min-gap", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["edges"], report["split_keys"]) == (373, 15)
    assert report["rows_read"] == report["rows_used"] + sum(report["dropped"].values()) == 1539
    assert sum(len(group.edges) for group in read_groups_file(folder / "groups.parquet")) == 373


@pytest.mark.parametrize(
    ("name", "text", "dropped"),
    [
        (
            "v.csv",
            b"prompt,response,score\nQ,a,1\nQ,b,2,3\nQ\xff,c,4\nQ,d,5\n",
            {"more cells than columns": 1, "text that is not valid UTF-8": 1},
        ),
        (
            "v.jsonl",
            b'{"prompt":"Q","response":"a","score":1}\n{"prompt":"Q",\n[1]\n{"prompt":"Q","response":"d","score":5}\n',
            {"not valid JSON": 1, "not a JSON object": 1},
        ),
    ],
)
def test_skip_bad_counts_lines_that_no_parser_reads(
    folder: Path, name: str, text: bytes, dropped: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / name).write_bytes(text)
    assert run(["build", name]) == 2
    problem = capsys.readouterr().err
    assert f"error: {name} cannot be read: line " in problem
    assert problem.endswith("; --skip-bad drops and counts them.\n")
    assert run(["build", name, "--skip-bad", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows_read"], report["rows_used"], report["edges"]) == (4, 2, 1)
    assert report["dropped"] == dropped
