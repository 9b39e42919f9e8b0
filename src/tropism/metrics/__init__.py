"""Statistics and formulas, each computed in one place. Nothing here needs torch."""

from typing import TYPE_CHECKING

from tropism.lazy import lazy_names

if TYPE_CHECKING:
    from tropism.metrics.bootstrap import jackknife, mean_by_cluster, quantile_by_cluster, ratio_by_cluster, wilson
    from tropism.metrics.pair_order import order_credit
    from tropism.metrics.paired_tests import holm, paired_difference
    from tropism.metrics.text_variety import distinct_n
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "tropism.metrics.bootstrap": (
                "jackknife",
                "mean_by_cluster",
                "quantile_by_cluster",
                "ratio_by_cluster",
                "wilson",
            ),
            "tropism.metrics.pair_order": ("order_credit",),
            "tropism.metrics.paired_tests": (
                "holm",
                "paired_difference",
            ),
            "tropism.metrics.text_variety": ("distinct_n",),
        },
    )

__all__ = [
    "distinct_n",
    "holm",
    "jackknife",
    "mean_by_cluster",
    "order_credit",
    "paired_difference",
    "quantile_by_cluster",
    "ratio_by_cluster",
    "wilson",
]
