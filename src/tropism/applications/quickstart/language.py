"""Everything that anyone in the simulated gardening forum can say, as literal tables.

A question is a frame around one of its problem's clauses; an answer is one to seven sentences, each of one move. `{p}`
stands for the plant (always plural), `{at}` for the place with its leading blank, `{c}` and `{C}` for the clause in
small and capital letters. Every sentence of an answer has exactly one terminator, at its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Problem(NamedTuple):
    """What can go wrong with a plant: how people put it, why it happens, and what helps."""

    clauses: tuple[str, ...]
    why: tuple[str, ...]
    fix: tuple[str, ...]


class ForumQuestion(NamedTuple):
    """A question with what it is about."""

    text: str
    plant: str
    problem: str


PLANTS = (
    "asters", "aubergines", "beans", "begonias", "chillies", "courgettes", "cucumbers", "dahlias",
    "geraniums", "hollyhocks", "lupins", "marigolds", "melons", "nasturtiums", "pansies", "peas",
    "peppers", "petunias", "pumpkins", "snapdragons", "strawberries", "sunflowers", "tomatoes", "zinnias",
)  # fmt: skip

PLACES = (
    "",
    " at the allotment",
    " by the south wall",
    " in a raised bed",
    " in my greenhouse",
    " in the front garden",
    " on my balcony",
    " on the terrace",
    " on the windowsill",
)

FRAMES = (
    "{C}. What should I do?",
    "{C}. Any ideas?",
    "Help, {c}!",
    "Does anyone know why {c}?",
    "I am new here and {c}.",
    "Hello all, {c}. How do I fix this?",
    "This morning I noticed that {c}. What would you try?",
    "It is my first year of gardening, and {c}. Can you help me?",
)

PROBLEMS = {
    "yellow leaves": Problem(
        clauses=(
            "my {p}{at} have yellow leaves",
            "the leaves of my {p}{at} are turning yellow",
            "the lower leaves of my {p}{at} have gone yellow",
        ),
        why=(
            "Yellow leaves usually mean too much water.",
            "That yellow colour is most often a lack of nitrogen.",
            "Old leaves turn yellow first when the soil runs short of food.",
        ),
        fix=(
            "Let the top two centimetres of soil dry before you water again.",
            "Feed them with a nitrogen fertiliser every ten days.",
            "Pull off the yellow leaves and water only in the morning.",
            "Mix a handful of compost into the soil around each plant.",
        ),
    ),
    "slugs": Problem(
        clauses=(
            "slugs are eating my {p}{at}",
            "something leaves slime and big holes on my {p}{at}",
            "my {p}{at} are full of slugs",
        ),
        why=(
            "The holes and the slime are the work of slugs.",
            "Slugs come out at night when the soil is wet.",
            "Slugs hide all day under boards and stones.",
        ),
        fix=(
            "Go out with a torch after dark and pick the slugs off by hand.",
            "Sink a cup of beer into the soil and empty it every morning.",
            "Scatter iron phosphate pellets thinly around the plants.",
            "Put a strip of copper around the rim of every pot and bed.",
        ),
    ),
    "aphids": Problem(
        clauses=(
            "my {p}{at} are covered in aphids",
            "greenfly have taken over my {p}{at}",
            "there are sticky little green insects all over my {p}{at}",
        ),
        why=(
            "Aphids love the soft growth that too much fertiliser brings.",
            "Ants guard the aphids because they live on the honeydew.",
            "What feels sticky is the honeydew that aphids leave behind.",
        ),
        fix=(
            "Knock the aphids off with a hard jet of water.",
            "Spray them with two spoons of soft soap in a litre of water.",
            "Squash the first colonies between finger and thumb.",
            "Sow dill nearby so that ladybirds come and eat the aphids.",
        ),
    ),
    "mildew": Problem(
        clauses=(
            "my {p}{at} have white powder on their leaves",
            "the leaves of my {p}{at} look as if dusted with flour",
            "powdery mildew is spreading on my {p}{at}",
        ),
        why=(
            "That white coat is a fungus called powdery mildew.",
            "Mildew spreads when days are warm and nights are damp.",
            "Leaves that stand too close together catch mildew first.",
        ),
        fix=(
            "Spray one part of milk in nine parts of water once a week.",
            "Cut off every white leaf and put it in the bin, not on the compost.",
            "Thin the plants so that air can move between them.",
            "Stir a teaspoon of baking soda into a litre of water and spray the leaves.",
        ),
    ),
    "wilting": Problem(
        clauses=(
            "my {p}{at} wilt every afternoon",
            "my {p}{at} droop as soon as the sun is out",
            "the stems of my {p}{at} go limp in the heat",
        ),
        why=(
            "Leaves hang when they lose more water than the roots can take up.",
            "Shallow watering keeps the roots near the hot surface.",
            "A small pot dries out in a single hot afternoon.",
        ),
        fix=(
            "Water deeply at dawn, about ten litres for each square metre.",
            "Lay five centimetres of straw on the soil to keep it moist.",
            "Hang up a shade cloth from noon until four.",
            "Move them into a pot of twice the size.",
        ),
    ),
    "no flowers": Problem(
        clauses=(
            "my {p}{at} refuse to flower",
            "my {p}{at} make leaves but no flowers",
            "there is not a single bud on my {p}{at}",
        ),
        why=(
            "Too much nitrogen gives you leaves instead of flowers.",
            "With less than six hours of sun a plant makes few buds.",
            "Late pruning takes away the buds before they can open.",
        ),
        fix=(
            "Switch to a potash feed once a week.",
            "Give them a spot with at least six hours of sun.",
            "Pinch out the growing tips so that side shoots form.",
            "Stop all feeding for three weeks.",
        ),
    ),
    "leggy seedlings": Problem(
        clauses=(
            "the seedlings of my {p}{at} are long and thin",
            "the seedlings of my {p}{at} keep falling over",
            "my young {p}{at} grow tall and weak",
        ),
        why=(
            "Seedlings stretch when they get too little light.",
            "A warm room and weak light make thin stems.",
            "Crowded seedlings race each other to the light.",
        ),
        fix=(
            "Keep the seedlings at sixteen degrees at night.",
            "Hang a grow lamp twenty centimetres above them for fourteen hours a day.",
            "Replant the seedlings up to their first leaves.",
            "Brush your hand over the seedlings twice a day to make them sturdy.",
        ),
    ),
    "brown tips": Problem(
        clauses=(
            "the leaf tips of my {p}{at} are brown",
            "my {p}{at} have dry brown edges on their leaves",
            "the leaves of my {p}{at} turn brown and crisp at the tips",
        ),
        why=(
            "Brown tips are a sign of dry air.",
            "Salt from too much fertiliser burns the edges of the leaves.",
            "Hard tap water leaves lime that browns the tips.",
        ),
        fix=(
            "Flush the pot with three litres of rainwater.",
            "Stand the pots on a tray of wet pebbles.",
            "Use half the dose of fertiliser from now on.",
            "Trim the dry tips with clean scissors.",
        ),
    ),
    "root rot": Problem(
        clauses=(
            "the roots of my {p}{at} are brown and soft",
            "my {p}{at} smell rotten at the roots",
            "the stems of my {p}{at} turn black at the base",
        ),
        why=(
            "Roots rot when they sit in wet soil without air.",
            "A pot without a hole drowns its roots.",
            "Black stems come from a fungus in soggy soil.",
        ),
        fix=(
            "Take them out of the pot and cut away every soft root.",
            "Repot them in fresh compost with one third of grit.",
            "Throw away the water that stands in the saucer.",
            "Drill four holes into the bottom of the pot.",
        ),
    ),
    "caterpillars": Problem(
        clauses=(
            "caterpillars are eating my {p}{at}",
            "green caterpillars have moved into my {p}{at}",
            "I find caterpillars and black droppings on my {p}{at}",
        ),
        why=(
            "Droppings like those come from the larvae of a moth.",
            "White butterflies lay their eggs under the leaves.",
            "Caterpillars hatch within days when it is warm.",
        ),
        fix=(
            "Pick the caterpillars off every evening and carry them to the nettles.",
            "Cover the plants with a fine insect net until August.",
            "Wipe the eggs off the underside of the leaves.",
            "Spray a bacillus product while the caterpillars are still small.",
        ),
    ),
    "frost": Problem(
        clauses=(
            "frost has blackened my {p}{at}",
            "a cold night has damaged my {p}{at}",
            "my {p}{at} went soft and dark after the frost",
        ),
        why=(
            "Ice has burst the cells of the leaves.",
            "Clear nights in May still bring frost to the ground.",
            "Plants from a warm room cannot stand a sudden cold night.",
        ),
        fix=(
            "Cover them with two layers of fleece before sunset.",
            "Wait two weeks before you cut away the black parts.",
            "Bring them indoors until the nights stay above five degrees.",
            "Harden them off outside for one more hour each day.",
        ),
    ),
    "spider mites": Problem(
        clauses=(
            "spider mites have found my {p}{at}",
            "there are fine webs between the leaves of my {p}{at}",
            "my {p}{at} have tiny pale dots and fine webs",
        ),
        why=(
            "Fine webs and pale dots are typical of spider mites.",
            "Spider mites thrive in hot and dry air.",
            "Mites suck the sap from the underside of the leaves.",
        ),
        fix=(
            "Shower the underside of the leaves every second day.",
            "Release predatory mites as soon as it is warmer than twenty degrees.",
            "Mist them with water in the morning and in the evening.",
            "Put a clear bag over the plants for three days to raise the humidity.",
        ),
    ),
}

SENTENCES = {
    "kind": (
        "Sorry to hear about your {p}.",
        "Welcome to the forum, and do not give up on your {p}.",
        "That must be sad after all your work.",
        "Thank you for asking, many people have the same trouble.",
        "I know how you feel, this happened to my {p} too.",
        "Do not blame yourself, this happens to every gardener.",
        "It was wise of you to ask so early.",
        "Poor {p}, but all is not lost.",
        "I can tell how much you care about your garden.",
        "We have all been there, so please do not worry.",
        "Good question, and nothing to be ashamed of.",
        "Take heart, your {p} can still recover.",
        "How annoying, and you have been so patient.",
        "I feel for you, {p} are a joy when they do well.",
    ),
    "cheer": (
        "Good luck, you can do this.",
        "Your {p} will thank you.",
        "Tell us how your {p} look next week.",
        "I am sure that you will save them.",
        "Keep going, a garden rewards the patient.",
        "Fingers crossed for your {p}.",
        "Next month you will laugh about it.",
        "We would love to see a photo when your {p} are better.",
    ),
    "joke": (
        "At least the snails will write you a nice review.",
        "My {p} gave up on me years ago and I respect that.",
        "In my garden only the weeds read the instructions.",
        "Have you tried reading them a bedtime story?",
        "Perhaps your {p} just want a holiday by the sea.",
        "I talk to my {p} every day, but they never write back.",
        "My compost heap has a better social life than I do.",
        "I am told that my thumb is green only from the paint.",
    ),
    "rude": (
        "Only a fool would treat {p} like that.",
        "Read a book before you waste our time.",
        "People like you should stick to plastic flowers.",
        "Your {p} deserve a better owner.",
        "This has been asked a hundred times, so learn to search.",
        "Honestly, that is the laziest question of the week.",
    ),
    "offtopic": (
        "My cat had four kittens on Sunday.",
        "Does anyone want to buy a used bicycle?",
        "The football match last night was a disaster.",
        "I am baking bread this afternoon.",
        "My neighbour has painted his fence bright blue.",
        "The train to the city was late again.",
    ),
    "ramble": (
        "When I was a child my grandmother had a garden behind the old mill, and every summer we went there by train "
        "with two heavy suitcases and a dog.",
        "The weather is nothing like it used to be, because back then winter was winter and summer was summer and "
        "nobody ever had to talk about it.",
        "I once met a man on a boat who grew {p} for a king, or so he said, and he told me stories until we reached "
        "the harbour.",
        "Last year I wanted to build a shed, then the wood was too wet, then my brother borrowed the saw, and in the "
        "end we just went fishing.",
        "My aunt always kept her {p} beside the kitchen door, next to a blue bench that my uncle made from the planks "
        "of an old ship.",
        "There was a time when I knew every garden in our street by heart, with all its gates and hedges, and then "
        "they built the new road.",
    ),
    "vague": (
        "It could be many things.",
        "Just give your {p} what they need.",
        "Maybe it is the weather.",
        "Some people say that {p} are difficult.",
        "You could try something else.",
        "Sometimes it gets better and sometimes it does not.",
    ),
    "ask": (
        "How often do you water them?",
        "What soil do you use?",
        "How old are your {p}?",
        "How many hours of sun do your {p} get?",
        "Did you grow your {p} from seed?",
        "Can you post a photo?",
    ),
}  # fmt: skip

AUTHORS = {
    "expert": (
        "alder", "bergamot", "clover", "fennel22", "hazelnut", "mrs_quince", "oldspade", "sorrel", "tansy", "woodruff",
    ),
    "neighbour": (
        "anna_b", "daisychain", "elsie", "honeybee7", "june_in_may", "linden", "nettie", "petra", "primrose", "robin_k",
    ),
    "joker": ("gnome_chomsky", "lettuce_pray", "mulchado", "sofa_gardener", "thymelord", "wheelbarry"),
    "grump": ("b_thistle", "gorse", "hemlock", "old_bramble", "stinging_n", "walter54"),
    "rambler": ("captain_ivy", "grandpa_moss", "longway", "marjoram", "rosamund", "uncle_vetch"),
    "lurker": ("green_shade", "moonwort", "nightjar", "quiet_fern", "shadow_leaf", "the_mole"),
    "novice": ("first_spade", "kim2024", "newbud", "seedling_sam", "sprout", "twoleaves"),
}  # fmt: skip


def every_question() -> Iterator[ForumQuestion]:
    """All questions that can be asked, in a fixed order."""
    for problem, words in PROBLEMS.items():
        for plant in PLANTS:
            for place in PLACES:
                for wording in words.clauses:
                    clause = wording.format(p=plant, at=place)
                    for frame in FRAMES:
                        yield ForumQuestion(frame.format(c=clause, C=clause[0].upper() + clause[1:]), plant, problem)
