"""`Moments` and `CoMoments`: weight, means and centred products, merged by Chan's rule in double-float."""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics._double import (
    DoubleFloat,
    Pair,
    add,
    divide,
    halves,
    multiply,
    negate,
    terms,
    two_product,
    two_sum,
    value_of,
)
from streammetrics._spec import spec
from streammetrics.accumulators._base import Accumulator, Slotted, count_rows, split_shape, spread
from streammetrics.accumulators._floats import ROWS_LIMIT, sum_by_cell, sum_rows, weighted


class Centred(Slotted, Accumulator):
    """Weight, means and centred products of some variables, each a double-float: never E[x²] − E[x]²."""

    dtype = np.float32
    rows_limit = ROWS_LIMIT
    variables: ClassVar[int]

    @abstractmethod
    def _variables(self, amount: Array) -> list[Array]:
        """The variables of an amount, each of the shape `(R, *rest)`."""

    def _reduce(self, amount: Array, weight: Array | None, cell: Array | None) -> Array:
        variables = self._variables(amount)
        values = [value_of(variable) for variable in variables]
        single = [len(terms(variable)) == 1 for variable in variables]
        ones = jnp.ones_like(values[0][0])

        if cell is None:
            total, of_row = sum_rows, lambda word: word
        else:
            cells, _ = split_shape(self.shape, ones)
            total = lambda value: sum_by_cell(value, cell, cells)  # noqa: E731
            of_row = lambda word: word.at[cell].get(mode="fill", fill_value=0)  # noqa: E731

        bits = weight is None or weight.dtype == bool
        present = jnp.ones_like(ones, bool) if weight is None else spread(weight, ones).astype(bool)
        if bits and cell is None:
            (number,) = count_rows([jnp.broadcast_to(present, ones.shape)])
            size = number.astype(jnp.float32), jnp.zeros_like(number, jnp.float32)  # exact: at most `rows_limit`
        else:
            size = total(weighted((ones, jnp.zeros_like(ones)), weight))
        means = [divide(total(weighted(value, weight)), size) for value in values]
        centred = [
            _less(value, of_row(mean[0]), present, one) for value, mean, one in zip(values, means, single, strict=True)
        ]
        rest = None if bits else weight  # what is absent is centred to 0 already
        products = []
        for i, j in self._pairs():
            about_high = total(weighted(_product(centred[i], centred[j]), rest))
            # The rows were centred on the high word of the mean; its low word is what is left of the shift.
            left = multiply(size, two_product(means[i][1], means[j][1]))
            products.append(add(about_high, negate(left)))
        return self._stacked(size, means, products).reshape(self.limbs, *self.shape)

    def merge(self, a: Array, b: Array) -> Array:
        (a_size, a_means, a_products), (b_size, b_means, b_products) = self._parts(a), self._parts(b)
        size = add(a_size, b_size)
        share = divide(b_size, size)
        common = multiply(a_size, share)
        steps = [add(right, negate(left)) for left, right in zip(a_means, b_means, strict=True)]
        means = [add(left, multiply(step, share)) for left, step in zip(a_means, steps, strict=True)]
        products = [
            add(add(left, right), multiply(multiply(steps[i], steps[j]), common))
            for (i, j), left, right in zip(self._pairs(), a_products, b_products, strict=True)
        ]
        # The identity must be one to the last bit, whatever the arithmetic of zeros gives.
        both = self._stacked(size, means, products)
        return jnp.where(a_size[0] == 0, b, jnp.where(b_size[0] == 0, a, both))

    def scaled(self, data: Array, factor: Array) -> Array:
        """The data of as many examples, each of whose weights was multiplied by a factor."""
        size, means, products = self._parts(data)
        factor = jnp.broadcast_to(factor, size[0].shape)
        return self._stacked(weighted(size, factor), means, [weighted(product, factor) for product in products])

    def _pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(self.variables) for j in range(i, self.variables)]

    def _stacked(self, size: Pair, means: list[Pair], products: list[Pair]) -> Array:
        words = [word for pair in (size, *means, *products) for word in pair]
        return jnp.stack(words)

    def _parts(self, data: Array) -> tuple[Pair, list[Pair], list[Pair]]:
        pairs = [(data[i], data[i + 1]) for i in range(0, self.limbs, 2)]
        return pairs[0], pairs[1 : 1 + self.variables], pairs[1 + self.variables :]


def _less(value: Pair, pivot: Array, present: Array, single: bool) -> Pair:
    """The value less a float, 0 where it is absent; a single float has no low word, which spares a step."""
    pivot = jnp.broadcast_to(pivot, value[0].shape)
    high, error = two_sum(jnp.where(present, value[0], pivot), -pivot)
    # Where the high words cancel, the low ones are all there is.
    return (high, error) if single else two_sum(high, error + jnp.where(present, value[1], 0))


def _product(x: Pair, y: Pair) -> Pair:
    """The product to 2^-35, in fewer steps than `multiply`: as many as a compiler still vectorises."""
    (x_high, x_low), (y_high, y_low) = halves(x[0]), halves(y[0])
    return x_high * y_high, x_high * y_low + x_low * y[0] + (x[0] * y[1] + y[0] * x[1])


class MomentsRead(NamedTuple):
    """Σw, the mean, and Σ w (x − mean)²."""

    weight: DoubleFloat
    mean: DoubleFloat
    m2: DoubleFloat

    def average(self) -> Array:
        """The mean as a float; NaN without weight."""
        return jnp.where(self.weight > 0, self.mean.to_float(), jnp.nan)


class CoMomentsRead(NamedTuple):
    """Σw, both means, and the sums of the centred products xx, xy and yy."""

    weight: DoubleFloat
    mean_x: DoubleFloat
    mean_y: DoubleFloat
    xx: DoubleFloat
    xy: DoubleFloat
    yy: DoubleFloat


@spec
class Moments(Centred):
    """Weight, mean and centred second moment of a variable; decodes to `(weight, mean, m2)`.

    Amounts are real, weights finite and non-negative. The mean is held to about 2^-46 of itself, m2 to 1e-10 of itself
    and 2^-69 of Σ w mean². The definition is Chan, Golub and LeVeque's (1979).

    >>> Moments().init().shape
    (6,)
    """

    limbs = 6
    variables = 1

    def _variables(self, amount: Array) -> list[Array]:
        return [amount]

    def decode(self, data: Array) -> MomentsRead:
        size, means, products = self._parts(data)
        return MomentsRead(*(DoubleFloat(*pair) for pair in (size, *means, *products)))


@spec
class CoMoments(Centred):
    """Weight, means and centred second moments of pairs; decodes to `(weight, mean_x, mean_y, xx, xy, yy)`.

    Amounts are real and have one axis more than the accumulator, the last, of x and y.

    >>> CoMoments().init().shape
    (12,)
    """

    limbs = 12
    amount_axes = 1
    variables = 2

    def _variables(self, amount: Array) -> list[Array]:
        return [amount[..., 0], amount[..., 1]]

    def decode(self, data: Array) -> CoMomentsRead:
        size, means, products = self._parts(data)
        return CoMomentsRead(*(DoubleFloat(*pair) for pair in (size, *means, *products)))
