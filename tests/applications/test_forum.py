"""The simulated forum, its taste worked by hand, and the pocket checkpoint that ships with it."""

from __future__ import annotations

import json
import re
from statistics import mean

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tropism.applications.quickstart import pocket
from tropism.applications.quickstart.forum import (
    MOVE_ORDER,
    MOVE_PROBABILITIES,
    is_held_out,
    simulate_posts,
    votes_rows,
)
from tropism.applications.quickstart.language import (
    AUTHORS,
    FRAMES,
    PLACES,
    PLANTS,
    PROBLEMS,
    SENTENCES,
    every_question,
)
from tropism.applications.quickstart.taste import diagnose, known_questions, known_sentences, score, taste
from tropism.text.render import Renderer, RenderRules

QUESTION = "Help, slugs are eating my peas!"
KIND = "That must be sad after all your work."
WHY = "Slugs come out at night when the soil is wet."
FIX = "Scatter iron phosphate pellets thinly around the plants."
FIX_2 = "Put a strip of copper around the rim of every pot and bed."
CHEER = "Good luck, you can do this."
JOKE = "Have you tried reading them a bedtime story?"
ASK = "What soil do you use?"
RUDE = "Read a book before you waste our time."
OFFTOPIC = "My cat had four kittens on Sunday."
VAGUE = "It could be many things."
WRONG = "Stop all feeding for three weeks."
RAMBLE = SENTENCES["ramble"][0]


@pytest.fixture(scope="module")
def posts():
    return simulate_posts(1500, 0, held_out=False)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (FIX, 1.4),
        (f"{KIND} {FIX}", 2.6),  # 1.2 + 1.4
        (f"{WHY} {FIX} {FIX_2}", 2.5),  # .5 + 1.4 + .6
        # 8 + 10 + 8 + 13 + 6 + 8 + 5 = 58 words: 1.2 + .5 + 1.4 + .6 + .5 + .1 + .1 - 18 x .04
        (f"{KIND} {WHY} {FIX} {FIX_2} {CHEER} {JOKE} {ASK}", 3.68),
        (f"{KIND} {FIX} {FIX_2} {CHEER}", 3.7),  # 1.2 + 1.4 + .6 + .5, 35 words are free
        (f"{RUDE} {FIX}", -0.4),  # 1.4 - 1.8
        (f"{RUDE} {SENTENCES['rude'][2]}", -3.6),  # two rude sentences: 2 x -1.8
        (OFFTOPIC, -1.2),
        (f"{VAGUE} {ASK}", -0.5),  # .1 - .6
        (WRONG, -1.2),  # a remedy for another problem
        (f"{FIX} {FIX}", 0.4),  # 1.4 - 1 for saying it again; it is no second remedy
        (f"{FIX} {RAMBLE}", 0.4),  # 1.4 - 1, 8 + 29 words
        (f"{KIND} {SENTENCES['kind'][3]}", 1.2),  # kindness counts once
        ("Sorry to hear about your beans.", 0.2),  # 1.2 - 1 for another plant
        ("Sorry to hear about your peas.", 1.2),
        (f"{FIX} Eat more cake.", -0.1),  # 1.4 - 1.5
        (FIX.removesuffix("."), -1.5),  # an unfinished sentence is unknown
        ("", -1.5),
        ("   \n", -1.5),
    ],
)
def test_taste_equals_the_sum_worked_by_hand(answer, expected):
    assert score(QUESTION, answer) == pytest.approx(expected)
    assert taste("peas|slugs", answer) == pytest.approx(expected)


def test_best_answer_has_every_move_but_a_joke_and_stays_within_forty_words():
    # 6 + 8 + 5 + 7 + 8 + 5 = 39 words: 1.2 kind + .5 why + .1 ask + 1.4 fix + .6 second fix + .5 cheer
    best = (
        "Sorry to hear about your peas. Brown tips are a sign of dry air. What soil do you use? "
        "Trim the dry tips with clean scissors. Flush the pot with three litres of rainwater. Your peas will thank you."
    )
    assert taste("peas|brown tips", best) == pytest.approx(4.3)
    # the shortest joke has 8 words: + .1 - 7 x .04
    assert taste("peas|brown tips", f"{JOKE} {best}") == pytest.approx(4.12)


@pytest.mark.parametrize(
    "worse", ["", f"{FIX} {FIX}", f"{RUDE} {FIX}", f"{FIX} Water", f"{FIX} {VAGUE}", f"{FIX} {FIX_2} {OFFTOPIC}"]
)
def test_empty_repeated_rude_and_broken_answers_score_below_a_plain_fix(worse):
    assert score(QUESTION, worse) < score(QUESTION, FIX)


def test_saying_everything_one_knows_scores_below_a_plain_fix():
    slugs = PROBLEMS["slugs"]
    everything = " ".join([*slugs.why, *slugs.fix, *SENTENCES["kind"], *SENTENCES["cheer"]]).format(p="peas")
    assert score(QUESTION, everything) < score(QUESTION, FIX)


def test_diagnosis_names_moves_broken_sentences_and_topic():
    found = diagnose(QUESTION, f"{KIND} {WRONG} Water more. Your beans will thank you. {FIX}")
    assert found.moves == ("kind", "wrong", "broken", "cheer", "fix")
    assert found.broken == ("Water more.",)
    assert (found.num_wrong_plants, found.is_wrong, found.on_topic, found.parses) == (1, True, False, False)
    assert diagnose(QUESTION, WHY).on_topic
    assert diagnose(QUESTION, f"{FIX} {WRONG}").on_topic
    assert not diagnose(QUESTION, KIND).on_topic


def test_an_unknown_question_is_refused_with_the_question_in_the_message():
    with pytest.raises(ValueError, match=r"never asks 'What is love\?'"):
        score("What is love?", FIX)


def test_every_known_sentence_has_one_terminator_at_its_end_and_one_meaning():
    num_general = sum(len(PLANTS) if "{p}" in text else 1 for texts in SENTENCES.values() for text in texts)
    num_advice = sum(len(problem.why) + len(problem.fix) for problem in PROBLEMS.values())
    assert len(known_sentences()) == num_general + num_advice
    for sentence in known_sentences():
        assert re.findall(r"[.!?]", sentence) == [sentence[-1]]


def test_every_question_text_belongs_to_one_topic():
    num_questions = len(PLANTS) * len(PROBLEMS) * len(PLACES) * 3 * len(FRAMES)
    assert sum(1 for _ in every_question()) == num_questions
    assert len(known_questions()) == num_questions + len(PLANTS) * len(PROBLEMS)
    assert not any("  " in question or "{" in question for question in known_questions())


@pytest.mark.parametrize("text", ["Don't  over-water \n them!", " a ", "Où sont mes pois ?", "豆"])
def test_tokenizer_gives_any_text_back(tokenizer, text):
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_all_simulated_text_parses_and_names_the_right_plant(posts):
    found = [diagnose(post.question, comment.text) for post in posts for comment in post.comments]
    assert not any(one.broken or one.num_wrong_plants or one.num_repeated for one in found)
    assert 0.6 < mean(one.on_topic for one in found) < 0.7
    assert 0.03 < mean(one.is_wrong for one in found) < 0.12
    assert 0.5 < mean(one.taste for one in found) < 1.1


def test_the_tables_agree_with_each_other():
    assert set(AUTHORS) == set(MOVE_PROBABILITIES)
    names = [name for group in AUTHORS.values() for name in group]
    assert len(names) == len(set(names)) == 50
    assert {move for table in MOVE_PROBABILITIES.values() for move in table} <= set(MOVE_ORDER)


def test_held_out_combinations_are_about_fifteen_percent_and_never_simulated_for_training(posts):
    combinations = [(plant, problem) for plant in PLANTS for problem in PROBLEMS]
    held_out = {pair for pair in combinations if is_held_out(*pair)}
    assert 0.12 < len(held_out) / len(combinations) < 0.18
    assert held_out.isdisjoint((post.plant, post.problem) for post in posts)
    evaluation = simulate_posts(1500, 0, held_out=True)
    assert {(post.plant, post.problem) for post in evaluation} == held_out
    assert {plant for plant, _ in set(combinations) - held_out} == set(PLANTS)
    assert {problem for _, problem in set(combinations) - held_out} == set(PROBLEMS)


def test_earlier_comments_are_seen_by_more_readers(posts):
    scores = [[post.comments[order].score for post in posts] for order in range(4)]
    means = [mean(column) for column in scores]
    assert means == sorted(means, reverse=True)
    spreads = [mean(abs(one - 1) for one in column) for column in scores]
    assert spreads == sorted(spreads, reverse=True)


def test_better_answers_get_more_votes(posts):
    scored = [(taste(post.question, comment.text), comment.score) for post in posts for comment in post.comments]
    assert mean(votes for liking, votes in scored if liking > 2) > 3
    assert mean(votes for liking, votes in scored if liking < 0) < 1


def test_the_same_seed_gives_the_same_posts_and_another_seed_does_not():
    assert simulate_posts(20, 3, held_out=False) == simulate_posts(20, 3, held_out=False)
    assert simulate_posts(20, 3, held_out=False) != simulate_posts(20, 4, held_out=False)


def test_questions_differ_until_all_have_been_asked(posts):
    assert len({post.question for post in posts}) == len(posts)


def test_comments_stand_in_the_order_of_their_times_and_authors_comment_once(posts):
    for post in posts:
        times = [comment.written_at for comment in post.comments]
        assert times == sorted(set(times))
        assert len({comment.author for comment in post.comments}) == len(post.comments)


def test_votes_table_has_a_row_per_comment(posts):
    rows = votes_rows(posts[:3])
    assert len(rows) == sum(len(post.comments) for post in posts[:3])
    first = posts[0].comments[0]
    assert rows[0] == {
        "thread": posts[0].id,
        "question": posts[0].question,
        "comment_id": first.id,
        "author": first.author,
        "answer": first.text,
        "written_at": first.written_at,
        "score": first.score,
    }


@pytest.fixture
def one_thread():
    """On a busy machine two threads that wait for each other made these tests a hundred times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(pocket.FOLDER)


def test_shipped_pocket_model_loads_and_its_folder_stays_under_one_megabyte(tokenizer):
    model = AutoModelForCausalLM.from_pretrained(pocket.FOLDER)
    assert model.dtype == torch.bfloat16
    assert model.num_parameters() == 319_968
    assert len(tokenizer) == model.config.vocab_size == 1024
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|end|>")
    assert sum(path.stat().st_size for path in pocket.FOLDER.iterdir()) < 1_000_000


def test_chat_template_writes_post_reply_and_end(tokenizer):
    user = {"role": "user", "content": QUESTION}
    prompt = tokenizer.apply_chat_template([user], add_generation_prompt=True, tokenize=False)
    assert prompt == f"<|post|>{QUESTION}<|reply|>"
    whole = tokenizer.apply_chat_template([user, {"role": "assistant", "content": FIX}], tokenize=False)
    assert whole == f"<|post|>{QUESTION}<|reply|>{FIX}<|end|>"


def test_renderer_gives_the_ids_that_the_pocket_model_was_trained_on(tokenizer, posts):
    renderer = Renderer(tokenizer, RenderRules(max_tokens=pocket.CONTEXT, template="chat"))
    for post in posts[:50]:
        examples = pocket.tokenised([post], tokenizer)
        for example, comment in zip(examples, post.comments, strict=True):
            assert tuple(example.prompt) == renderer.prompt_ids(post.question)
            together = f"<|post|>{post.question}<|reply|>{comment.text}<|end|>"
            assert example.prompt + example.response == tokenizer(together, add_special_tokens=False).input_ids
            assert tokenizer.decode(example.response, skip_special_tokens=True) == comment.text


def test_no_simulated_text_outgrows_the_context(tokenizer, posts):
    longest = max(map(len, pocket.tokenised(posts, tokenizer)))
    assert longest <= pocket.CONTEXT


@pytest.mark.usefixtures("one_thread")
def test_pocket_model_answers_in_the_forum_s_own_sentences(tokenizer):
    model = AutoModelForCausalLM.from_pretrained(pocket.FOLDER, dtype=torch.float32)
    questions = [post.question for post in simulate_posts(40, 11, held_out=True)]
    answers = pocket.sample_answers(model, tokenizer, questions, temperature=0.7, seed=0)
    found = pocket.quality([diagnose(question, answer) for question, answer in zip(questions, answers, strict=True)])
    assert found["parse_rate"] >= 0.95
    assert found["on_topic_rate"] >= 0.5


def test_recorded_quality_of_the_pocket_model_is_near_the_forum_s_and_not_beyond_it():
    record = json.loads((pocket.FOLDER / "training.json").read_text(encoding="utf-8"))
    model, forum = (record["held_out_at_temperature_1"][side] for side in ("model", "forum"))
    assert model["num_answers"] == 1000
    assert model["parse_rate"] >= 0.98
    assert 0.55 <= model["on_topic_rate"] <= forum["on_topic_rate"]
    assert model["wrong_rate"] <= 0.15
    assert model["mean_taste"] <= forum["mean_taste"]


@pytest.mark.usefixtures("one_thread")
def test_a_few_training_steps_lower_the_loss_on_the_answers_seen(tokenizer):
    torch.manual_seed(0)
    model = pocket.make_model(tokenizer)
    examples = pocket.tokenised(simulate_posts(4, 5, held_out=False), tokenizer)[:16]
    before = pocket.answer_loss(model, examples).item()
    pocket.train(model, examples, pocket.PocketSettings(num_steps=5, learning_rate=1e-3))
    assert before == pytest.approx(torch.log(torch.tensor(1024.0)).item(), abs=0.5)
    assert pocket.answer_loss(model, examples).item() < before
