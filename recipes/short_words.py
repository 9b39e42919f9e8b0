"""A toy judge: answers of about twenty short words are best."""


def score(prompt: str, answer: str) -> float:
    """Minus the distance from twenty words, minus the mean length of a word; higher is better."""
    words = answer.split()
    return -abs(len(words) - 20) / 20 - sum(map(len, words)) / max(1, len(words))
