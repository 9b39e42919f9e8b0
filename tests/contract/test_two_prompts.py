"""A group of two prompts: the same answer after an image and after a cropped one (mDPO's conditional preference)."""

import pytest
import torch

from tropism.groups import Edge, PreferenceGroup, Response
from tropism.losses import make_mixture
from tropism.references.cached import CachedReference
from tropism.testing import tiny_policy

ANSWER, WORSE = " two cats", " a dog"


@pytest.mark.parametrize("layout", ["forest", "padded"])
def test_the_same_answer_may_win_after_one_prompt_and_lose_after_another(layout):
    responses = (Response("y", ANSWER), Response("l", WORSE), Response("y cropped", ANSWER, prompt=1))
    whole = PreferenceGroup("a", ("<img 1 2 3 4> What is it?", "<img 1> What is it?"), responses,
                            (Edge(0, 1), Edge(0, 2)))  # fmt: skip
    policy = tiny_policy(layout=layout)
    (group,), _ = policy.prepare([whole])
    assert len(group.prompts) == 2
    reference = CachedReference(policy)
    reference.prepare([group])
    (batch,) = policy.collate([group], tokens_per_batch=4096)
    assert len(set(batch.keys)) == 3  # one answer, two prompts: two scores
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(1.05)
    scores = policy.score(policy.model, reference.attach(batch, policy.model))
    ratio = (scores.policy - scores.reference).detach()
    terms = make_mixture({"dpo": {"beta": 0.5}}).terms(scores, batch.feedback)["dpo"]
    wanted = [-torch.nn.functional.logsigmoid(0.5 * (ratio[0] - ratio[k])) for k in (1, 2)]
    assert terms.value.tolist() == pytest.approx([float(one) for one in wanted], rel=1e-5)
    assert ratio[0] != ratio[2]
