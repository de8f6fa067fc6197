"""The slope of a series of noisy figures. Rule: a single odd figure moves nothing, because the slope is the median over all pairs.

H. Theil, "A rank-invariant method of linear and polynomial regression analysis", 1950; P. K. Sen, "Estimates of the regression coefficient
based on Kendall's tau", Journal of the American Statistical Association 63, 1968. The interval assumes no distribution of the noise.
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

CONFIDENCE = 0.95  # that the true slope lies between the bounds


@dataclass(frozen=True, slots=True)
class Slope:
    """The median slope, and the bounds between which the true one lies."""

    middle: float
    low: float
    high: float

    def is_level(self, bound: float) -> bool:
        """Whether the interval holds 0, or ends below `bound`."""
        return self.low <= 0 <= self.high or self.high < bound


def theil_sen(xs: Sequence[float], ys: Sequence[float], confidence: float = CONFIDENCE) -> Slope:
    """Of the points (x, y), no two with the same x. The ranks of the bounds come from the variance of Kendall's S, corrected for equal ys
    (Sen's equation 2.6). Raises `statistics.StatisticsError` for fewer than two points."""
    slopes = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(zip(xs, ys, strict=True), 2))
    middle = statistics.median(slopes)
    equal = Counter(ys).values()
    variance = (_pairs(len(xs)) - sum(map(_pairs, equal))) / 18
    reach = statistics.NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance)
    low = max(round((len(slopes) - reach) / 2) - 1, 0)
    high = min(round((len(slopes) + reach) / 2), len(slopes) - 1)
    return Slope(middle, slopes[low], slopes[high])


def _pairs(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)
