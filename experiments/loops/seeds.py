"""Means over seeds with their 90 % CI, and numbers as the reports print them. check-numbers.py and figures.py share them."""

import math
import statistics

# The 95 % quantiles of Student's t, by degrees of freedom.
T = {
    2: 2.9200, 3: 2.3534, 4: 2.1318, 5: 2.0150, 6: 1.9432, 7: 1.8946, 8: 1.8595, 9: 1.8331,
    15: 1.7531, 16: 1.7459, 17: 1.7396, 18: 1.7341, 19: 1.7291, 20: 1.7247, 21: 1.7207, 22: 1.7171, 23: 1.7139,
}


def over_seeds(values):
    """Mean and 90 % CI by Student's t over the seeds."""
    mean, half = statistics.mean(values), T[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def ratio_over_seeds(values):
    """Geometric mean and 90 % CI by Student's t over the logarithms of the seeds' ratios."""
    return tuple(math.exp(x) for x in over_seeds([math.log(value) for value in values]))


def short(x):
    """Three digits, as the reports print a number."""
    if x == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(x))))
    text = f"{x:.{digits}f}"
    # 0.09996 is 0.1000 to four places: one digit too many.
    return f"{x:.{digits - 1}f}" if digits and len(text.strip("-0.").replace(".", "")) > 3 else text


def interval(mean, low, high):
    return f"{short(mean)} [{short(low)}, {short(high)}]"


def p_of(values):
    """Of Student's t-test that the mean over the seeds is 0, two-sided."""
    mean, spread = statistics.mean(values), statistics.stdev(values) / math.sqrt(len(values))
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    t, free = abs(mean) / spread, len(values) - 1
    scale = math.exp(math.lgamma((free + 1) / 2) - math.lgamma(free / 2)) / math.sqrt(free * math.pi)

    # By t = sqrt(free) tan(angle) the tail is a finite stretch, on which Simpson's rule is exact to all digits that are printed.
    start, pieces = math.atan(t / math.sqrt(free)), 2000
    width = (math.pi / 2 - start) / pieces
    heights = [math.cos(start + width * i) ** (free - 1) for i in range(pieces + 1)]
    whole = heights[0] + heights[-1] + 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2])
    return min(1.0, 2 * scale * math.sqrt(free) * whole * width / 3)


def holm(p):
    """Holm's correction of the p-values of one family, by name."""
    corrected, most = {}, 0.0
    for i, name in enumerate(sorted(p, key=p.get)):
        most = max(most, min(1.0, (len(p) - i) * p[name]))
        corrected[name] = most
    return corrected
