"""Metrics of predicted numbers."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks, statistics
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics.accumulators._moments import MomentsRead
from streammetrics.statistics._regression import check_numbers


@spec
class Regression(Metric):
    """A value of each output, and how these become one.

    Predictions and targets have one shape `(*B,)`, or `(*B, outputs)`. Of several outputs `average` is None (one value
    each), `"uniform"` (their mean) or, where a value is a share of the targets' variance, `"variance"` (their mean by
    that variance).
    """

    outputs: int | None = None
    average: str | None = dataclasses.field(default="uniform", kw_only=True)
    predictions: str = dataclasses.field(default="predictions", kw_only=True)
    targets: str = dataclasses.field(default="targets", kw_only=True)
    weights: str = dataclasses.field(default="weights", kw_only=True)

    averages: ClassVar[tuple[str | None, ...]] = (None, "uniform")

    def __post_init__(self) -> None:
        check_numbers(self)
        _checks.choice(self, "average", self.averages)
        if self.outputs is None and self.average != "uniform":
            raise ValueError(
                f"{type(self).__name__}: average={self.average!r} is of several outputs, but outputs is None"
            )

    def counted(self, statistic: type[Any]) -> Statistic:
        """The statistic of this metric's entries."""
        return statistic(self.outputs, self.predictions, self.targets, self.weights)

    def averaged(self, value: Array, variance: Array | None = None) -> Array:
        """The average of the values of the outputs."""
        if self.outputs is None or self.average is None:
            return value
        if self.average == "uniform" or variance is None:
            return jnp.mean(value)
        total = jnp.sum(variance)  # where no target varies scikit-learn weighs all outputs alike
        share = jnp.where(total > 0, variance / jnp.where(total > 0, total, 1), 1 / value.size)
        return jnp.sum(share * value)


@spec
class MeanSquaredError(Regression):
    """Σ w (prediction − target)² / Σ w: the mean of the squared errors.

    Predictions and targets are real, taken in float32 (float64 under x64), of one shape `(*B,)`, or `(*B, outputs)`:
    then the mean over outputs, or with `average=None` one value each. Weights may be fractions; an example with NaN or
    infinity is invalid. NaN without examples. The definition is scikit-learn's `mean_squared_error`.

    >>> float(MeanSquaredError()([2.0, 4.0], [1.0, 1.0]))
    5.0
    """

    higher_is_better = False

    @property
    def statistic(self) -> Statistic:
        return self.counted(statistics.SquaredErrors)

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.averaged(counts["errors"].average())


@spec
class RootMeanSquaredError(Regression):
    """√(Σ w (prediction − target)² / Σ w): the root of the mean of the squared errors.

    Of several outputs the mean of their roots. Fields and entries as for `MeanSquaredError`. The definition is
    scikit-learn's `root_mean_squared_error`.

    >>> round(float(RootMeanSquaredError()([2.0, 4.0], [1.0, 1.0])), 4)
    2.2361
    """

    higher_is_better = False

    @property
    def statistic(self) -> Statistic:
        return self.counted(statistics.SquaredErrors)

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.averaged(jnp.sqrt(counts["errors"].average()))


@spec
class MeanAbsoluteError(Regression):
    """Σ w |prediction − target| / Σ w: the mean of the absolute errors.

    Fields and entries as for `MeanSquaredError`. The definition is scikit-learn's `mean_absolute_error`.

    >>> float(MeanAbsoluteError()([2.0, 4.0], [1.0, 1.0]))
    2.0
    """

    higher_is_better = False

    @property
    def statistic(self) -> Statistic:
        return self.counted(statistics.AbsoluteErrors)

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.averaged(counts["errors"].average())


@spec
class ShareOfVariance(Regression):
    """1 − an error over the variance of the targets."""

    averages = (None, "uniform", "variance")

    @property
    def statistic(self) -> Statistic:
        return self.counted(statistics.Residuals)

    def share(self, error: Array, targets: MomentsRead, least: int, counts: Mapping[str, Any]) -> Array:
        """1 − error / variance; of constant targets 1 if there is no error, else 0; NaN below `least` examples."""
        variance = spread(targets)
        constant = jnp.where(error == 0, 1.0, 0.0).astype(error.dtype)
        value = jnp.where(variance == 0, constant, 1 - error / jnp.where(variance == 0, 1, variance))
        return self.averaged(jnp.where(counts["examples"] >= least, value, jnp.nan), variance)


@spec
class R2(ShareOfVariance):
    """1 − Σ w (target − prediction)² / Σ w (target − mean target)²: the coefficient of determination.

    Right at any offset of the targets: their variance is never a difference of squares. Of several outputs the mean,
    with `average="variance"` by the variance of their targets, with None one value each. Constant targets give 1 if all
    predictions are right, else 0; fewer than two examples NaN, and so do spreads below 1e-15. Entries as for
    `MeanSquaredError`. The definition is scikit-learn's `r2_score`.

    >>> float(R2()([1.0, 2.0, 4.0], [1.0, 2.0, 3.0]))
    0.5
    """

    higher_is_better = True

    def read(self, counts: Mapping[str, Any]) -> Array:
        residuals = counts["residuals"]
        mean, weight = residuals.mean.to_float(), residuals.weight.to_float()
        return self.share(residuals.m2.to_float() + weight * mean * mean, counts["targets"], 2, counts)


@spec
class ExplainedVariance(ShareOfVariance):
    """1 − Var(target − prediction) / Var(target): R² that forgives a constant offset of the predictions.

    Averages, constant targets and entries as for `R2`; NaN without examples. The definition is scikit-learn's
    `explained_variance_score`.

    >>> float(ExplainedVariance()([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]))
    1.0
    """

    higher_is_better = True

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.share(spread(counts["residuals"]), counts["targets"], 1, counts)


@spec
class PearsonCorrelation(Regression):
    """Cov(prediction, target) / √(Var(prediction) Var(target)): how far the two lie on a line, from −1 to 1.

    Of several outputs the mean, or one value each with `average=None`. NaN where either is constant and without
    examples. Entries as for `MeanSquaredError`. The definition is Pearson's; batches merge by Chan, Golub and LeVeque's
    rule (1979), so that drifting batches and great offsets do no harm.

    >>> round(float(PearsonCorrelation()([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])), 4)
    0.982
    """

    higher_is_better = True

    @property
    def statistic(self) -> Statistic:
        return self.counted(statistics.NumberPairs)

    def read(self, counts: Mapping[str, Any]) -> Array:
        pairs = counts["pairs"]
        size, xy = pairs.weight, pairs.xy.to_float()
        xx, yy = (
            spread(MomentsRead(size, mean, m2)) for mean, m2 in ((pairs.mean_x, pairs.xx), (pairs.mean_y, pairs.yy))
        )
        scale = jnp.sqrt(xx) * jnp.sqrt(yy)
        return self.averaged(jnp.where(scale > 0, jnp.clip(xy / jnp.where(scale > 0, scale, 1), -1, 1), jnp.nan))


def spread(moments: MomentsRead) -> Array:
    """The centred second moment: 0 of what is constant, NaN where its squares leave the range of float32."""
    m2, mean, weight = (moment.to_float() for moment in (moments.m2, moments.mean, moments.weight))
    varies = m2 > weight * jnp.square(mean * 2.0**-33)  # more than the rounding of the mean makes
    # Below a spread of 1e-15 squares have no digits left; around a greater mean there is no smaller spread.
    lost = (m2 < weight * 2.0**-100) & (jnp.abs(mean) < 2.0**-27) & ((m2 > 0) | (mean != 0))
    return jnp.where(lost | ~jnp.isfinite(m2), jnp.nan, jnp.where(varies, m2, 0))
