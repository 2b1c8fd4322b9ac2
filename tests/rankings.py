"""Scores to rank by, and what numpy reads off them without any histogram: the references of `sm.AUROC` and its kin."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

EMPLOYMENT = Path(__file__).parent / "data" / "ma_employment_20k.npz"


def sigmoid(logits):
    return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))


def drawn(name, rows, seed=0):
    """Probabilities and targets of a kind, float64 and int32."""
    rng = np.random.default_rng(seed)
    share = {"moderate": 0.5, "overconfident": 0.5, "clicks": 0.01, "fraud": 0.001, "near one": 0.98, "lumps": 0.3}
    true = rng.random(rows) < share.get(name, 0.5)
    side = 2.0 * true - 1
    if name == "uniform":
        scores = rng.random(rows)
        return scores, (rng.random(rows) < 0.25 + 0.5 * scores).astype(np.int32)
    scores = {
        "moderate": lambda: sigmoid(rng.normal(side, 1)),
        "overconfident": lambda: sigmoid(3 * rng.normal(2 * side, 1)),
        "saturated": lambda: sigmoid(30 * rng.normal(side, 1)),
        "clicks": lambda: sigmoid(rng.normal(-6.2 + 0.82 * true, 1)),
        "fraud": lambda: sigmoid(rng.normal(-8 + 2.65 * true, 1)),
        "near one": lambda: sigmoid(rng.normal(5 + 0.67 * true, 1)),
        "lumps": lambda: np.round(sigmoid(rng.normal(side, 1)), 1),
        "subnormal": lambda: 1e-7 * np.exp(rng.normal(side, 1)),  # of float16: below 6.1e-5
    }[name]()
    return scores, true.astype(np.int32)


class Points(NamedTuple):
    """The weight of positives and negatives above each distinct score, from none to all of them."""

    tp: np.ndarray
    fp: np.ndarray
    scores: np.ndarray

    @property
    def tpr(self):
        return self.tp / self.tp[-1]

    @property
    def fpr(self):
        return self.fp / self.fp[-1]


def points(scores, true, weights=None):
    """The points of the curves: one for each distinct score, from the greatest down."""
    weights = np.ones(len(true)) if weights is None else np.asarray(weights, float)
    distinct, place = np.unique(-np.asarray(scores, np.float64), return_inverse=True)
    sums = [np.bincount(place, weights * (true == target), len(distinct)) for target in (1, 0)]
    tp, fp = (np.append(0, np.cumsum(each)) for each in sums)
    return Points(tp, fp, -distinct)


def kolmogorov_smirnov(p):
    return np.abs(p.tpr - p.fpr).max()


def equal_error_rate(p):
    """Where a line through the points of (FPR, FNR) crosses the diagonal."""
    gap = p.fpr - (1 - p.tpr)
    after = np.argmax(gap >= 0)
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return p.fpr[after - 1] + share * (p.fpr[after] - p.fpr[after - 1])


def log_auc(p, low, high, steps=200_000):
    """The mean of the interpolated TPR over points that are evenly spread on the scale of log FPR."""
    log = (np.arange(steps) + 0.5) / steps * (np.log(high) - np.log(low)) + np.log(low)
    return np.mean(_interpolated(np.exp(log), p.fpr, p.tpr))


def _interpolated(x, xs, ys):
    """Linear interpolation in which a vertical piece counts with its upper end to the right of it."""
    right = np.searchsorted(xs, x, side="right")
    left, right = right - 1, np.minimum(right, len(xs) - 1)
    run = xs[right] - xs[left]
    return ys[left] + np.where(run > 0, (x - xs[left]) / np.where(run > 0, run, 1), 0) * (ys[right] - ys[left])


def davis_goadrich(p, steps=2_000):
    """The area under precision by recall, numbers of events growing in proportion between the points, by midpoints."""
    area = 0.0
    for tp, fp, more_tp, more_fp in zip(p.tp, p.fp, np.diff(p.tp), np.diff(p.fp), strict=False):
        share = (np.arange(steps) + 0.5) / steps
        found, passed = tp + share * more_tp, fp + share * more_fp
        area += more_tp * np.mean(found / (found + passed))
    return area / p.tp[-1]


def employment():
    """20,000 real scores with their targets and years."""
    with np.load(EMPLOYMENT) as data:
        return data["p"], data["y"].astype(np.int32), data["year"]
