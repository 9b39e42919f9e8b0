"""The table of losses, and the methods that are weighted sums of them."""

from __future__ import annotations

from tropism.losses import anchored, batchwise, listwise, pairwise, pointwise, reference_free, samples
from tropism.losses.loss_row import Loss, Need, all_responses, labelled_responses, ranked_responses, weighted_responses

EDGES: frozenset[Need] = frozenset({"edges"})
COMPARED: frozenset[Need] = frozenset({"edges", "reference"})
NEITHER: frozenset[str] = frozenset()
SOFT = frozenset({"prob"})

LOSSES: dict[str, Loss] = {
    "dpo": Loss(pairwise.dpo, "pairwise", COMPARED, "arXiv:2305.18290"),
    "odpo": Loss(pairwise.dpo, "pairwise", COMPARED, "arXiv:2402.10571"),
    "gravity": Loss(pairwise.gravity, "pairwise", COMPARED, "arXiv:2402.10571"),
    "cdpo": Loss(pairwise.cdpo, "pairwise", COMPARED, "Mitchell 2023"),
    "robust": Loss(pairwise.robust, "pairwise", COMPARED, "arXiv:2403.00409"),
    "ipo": Loss(pairwise.ipo, "pairwise", COMPARED, "arXiv:2310.12036", SOFT),
    "ipo_norm": Loss(pairwise.ipo_norm, "pairwise", COMPARED, "arXiv:2310.12036", SOFT),
    "hinge": Loss(pairwise.hinge, "pairwise", COMPARED, "arXiv:2309.06657"),
    "sigmoid_norm": Loss(pairwise.sigmoid_norm, "pairwise", COMPARED, "arXiv:2411.15124"),
    "exo": Loss(pairwise.exo, "pairwise", COMPARED, "arXiv:2402.00856", SOFT),
    "nca": Loss(anchored.nca, "pairwise", COMPARED, "arXiv:2402.05369", SOFT),
    "bco_pair": Loss(anchored.bco_pair, "pairwise", COMPARED, "arXiv:2404.04656", SOFT),
    "bco": Loss(batchwise.bco, "pairwise", COMPARED | {"step"}, "arXiv:2404.04656", SOFT, tracks=batchwise.bco_shift),
    "sppo": Loss(anchored.sppo, "pairwise", COMPARED, "arXiv:2405.00675", SOFT),
    "aot": Loss(batchwise.aot, "pairwise", COMPARED | {"step"}, "arXiv:2406.05882", NEITHER),
    "aot_unpaired": Loss(batchwise.aot_unpaired, "pairwise", COMPARED | {"step"}, "arXiv:2406.05882", NEITHER),
    "apo_zero": Loss(anchored.apo_zero, "pairwise", COMPARED, "arXiv:2408.06266", SOFT),
    "apo_down": Loss(anchored.apo_down, "pairwise", COMPARED, "arXiv:2408.06266", SOFT),
    "discopop": Loss(pairwise.discopop, "pairwise", COMPARED, "arXiv:2406.08414", SOFT),
    "dpop": Loss(anchored.dpop, "pairwise", COMPARED, "arXiv:2402.13228", SOFT),
    "chi_po": Loss(pairwise.chi_po, "pairwise", COMPARED, "arXiv:2407.13399", SOFT),
    "beta_dpo": Loss(
        batchwise.beta_dpo, "pairwise", COMPARED | {"step"}, "arXiv:2407.08639", SOFT, tracks=batchwise.mean_margin
    ),
    "r_dpo": Loss(pairwise.r_dpo, "pairwise", COMPARED, "arXiv:2403.19159"),
    "ld_dpo": Loss(pairwise.ld_dpo, "pairwise", COMPARED | {"tokens"}, "arXiv:2409.06411"),
    "wpo": Loss(pairwise.wpo, "pairwise", COMPARED | {"tokens"}, "arXiv:2406.11827", statistics=("sum_squares",)),
    "cal_dpo": Loss(anchored.cal_dpo, "pairwise", COMPARED, "arXiv:2412.14516", SOFT),
    "f_dpo": Loss(pairwise.f_dpo, "pairwise", COMPARED, "arXiv:2309.16240"),
    "todo": Loss(pairwise.todo, "pairwise", COMPARED, "arXiv:2411.02442", SOFT),
    "simpo": Loss(reference_free.simpo, "pairwise", EDGES, "arXiv:2405.14734"),
    "contrast": Loss(reference_free.contrast, "pairwise", EDGES, "arXiv:2401.08417"),
    "odds_ratio": Loss(reference_free.odds_ratio, "pairwise", EDGES, "arXiv:2403.07691", SOFT),
    "slic": Loss(reference_free.slic, "pairwise", EDGES, "arXiv:2305.10425"),
    "bradley_terry": Loss(reference_free.bradley_terry, "pairwise", EDGES | {"rewards"}, "Bradley and Terry 1952"),
    "nll": Loss(pointwise.nll, "pointwise", frozenset(), "maximum likelihood", NEITHER, reads=weighted_responses),
    "kto": Loss(
        batchwise.kto,
        "unpaired",
        frozenset({"labels", "reference", "step", "baseline"}),
        "arXiv:2402.01306",
        NEITHER,
        reads=labelled_responses,
    ),
    "apo_zero_unpaired": Loss(
        batchwise.apo_zero_unpaired,
        "unpaired",
        frozenset({"labels", "reference"}),
        "arXiv:2408.06266",
        NEITHER,
        reads=labelled_responses,
    ),
    "plackett_luce": Loss(
        listwise.plackett_luce,
        "listwise",
        frozenset({"ranks", "reference"}),
        "arXiv:2305.18290",
        NEITHER,
        reads=ranked_responses,
    ),
    "softmax_dpo": Loss(listwise.softmax_dpo, "listwise", COMPARED, "arXiv:2406.09215", NEITHER),
    "lipo_lambda": Loss(listwise.lipo_lambda, "pairwise", COMPARED | {"group"}, "arXiv:2402.01878", NEITHER),
    "drift": Loss(samples.drift, "samples", frozenset({"samples"}), "arXiv:2606.02521", NEITHER, reads=all_responses),
}

MIXTURES: dict[str, tuple[dict[str, dict[str, float]], str]] = {
    "rpo": ({"dpo": {}, "nll": {"weight": 1.0}}, "arXiv:2404.19733"),
    "mpo": ({"dpo": {"weight": 0.8}, "bco_pair": {"weight": 0.2}, "nll": {"weight": 1.0}}, "arXiv:2411.10442"),
    "orpo": ({"odds_ratio": {"weight": 0.1}, "nll": {"weight": 1.0}}, "arXiv:2403.07691"),
    "cpo": ({"contrast": {}, "nll": {"weight": 1.0}}, "arXiv:2401.08417"),
    "slic_nll": ({"slic": {}, "nll": {"weight": 1.0}}, "arXiv:2305.10425"),
}
"""Methods that are weighted sums of others, with the weights of their papers. Settings of a part are given under its
name: `orpo: {odds_ratio: {weight: 0.25}}`."""
