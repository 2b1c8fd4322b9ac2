"""How often intervals hold the value of the population: a nominal 95 % must be 93 to 97 % at 1,000 examples."""

import jax
import numpy as np
import scipy.stats

import streammetrics as sm

ROWS = 1000
B = sm.Binary("labels")
LOGITS = sm.Binary("logits")
THREE = sm.Multiclass(3, "labels")


def states_of(metric, name, cells):
    """States of so many of a number of examples in each cell, along a leading axis."""
    return _states(metric, int(cells[0].sum()), {name: np.stack([cells, np.zeros_like(cells)], 1).astype(np.uint32)})


def states_of_values(metric, values):
    """States of a mean of values, (states, examples)."""
    ((name, _),) = metric.statistic.accumulators.items()
    means = values.mean(1)
    words = []
    for number in (np.full(len(values), values.shape[1]), means, np.square(values - means[:, None]).sum(1)):
        high = number.astype(np.float32)
        words += [high, (number - high).astype(np.float32)]
    return _states(metric, values.shape[1], {name: np.stack(words, 1)})


def _states(metric, rows, data):
    empty = metric.init()
    states = len(next(iter(data.values())))
    seen = np.zeros((states, *empty.seen.shape), np.uint32)
    seen[:, 0, 0] = rows
    state = sm.State(empty.statistic, data, seen)  # pyright: ignore[reportArgumentType]  # as good as arrays
    assert int(jax.tree.map(lambda x: x[0], state).examples) == rows
    return state


def read(function, *states):
    """What a function gives of each of the states, in one compilation."""
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(function))(*states))


def coverage(found, value):
    """How often the ends hold a value."""
    return np.mean((found.low <= value) & (value <= found.high), 0)


def within(share, low=0.93, high=0.97):
    assert np.all(low <= share), share
    assert np.all(share <= high), share


def drawn(p, trials=3000):
    """Numbers of examples in the cells of a table, drawn by their shares."""
    return np.random.default_rng(0).multinomial(ROWS, p.reshape(-1), trials).reshape(trials, *p.shape)


def test_shares_are_covered():
    """By the probability of each number of successes, exactly."""
    metric, right = sm.Accuracy(B), np.arange(ROWS + 1)
    cells = np.zeros((ROWS + 1, 2, 2), int)
    cells[:, 1, 1], cells[:, 0, 1] = right, ROWS - right
    due = {"wilson": (0.94, 0.96), "clopper-pearson": (0.95, 0.97), "delta": (0.93, 0.96)}
    found = read(
        lambda state: {method: sm.interval(metric, state, method=method) for method in due},
        states_of(metric, "cells", cells),
    )
    for p in np.linspace(0.1, 0.9, 81):
        weights = scipy.stats.binom.pmf(right, ROWS, p)
        for method, ends in due.items():
            within(np.sum(weights * ((found[method].low <= p) & (p <= found[method].high))), *ends)


def check_tables(metrics, name, tables):
    """The intervals of metrics of one statistic hold the values of the tables of shares."""
    cells = [cell for table in tables for cell in (np.round(1e4 * table)[None], drawn(table))]
    found = read(
        lambda state: [sm.interval(metric, state) for metric in metrics],
        states_of(metrics[0], name, np.concatenate(cells)),
    )
    for metric, each in zip(metrics, found, strict=True):
        for truth, stop in [(k * 3001, (k + 1) * 3001) for k in range(len(tables))]:
            part = jax.tree.map(lambda x, a=truth, b=stop: x[a + 1 : b], each)
            try:
                within(coverage(part, each.value[truth]))
            except AssertionError as error:
                raise AssertionError(f"{metric!r}: {error}") from None


def test_values_of_two_classes_are_covered():
    """With a tenth, half and nine tenths of positives."""
    kinds = (sm.Recall, sm.Precision, sm.Specificity, sm.Jaccard, sm.F1, sm.MatthewsCorrelation)
    tables = [np.array([[0.85 * (1 - p), 0.15 * (1 - p)], [0.2 * p, 0.8 * p]]) for p in (0.1, 0.5, 0.9)]
    check_tables([kind(B) for kind in kinds], "cells", tables)


def test_values_of_several_classes_are_covered():
    metrics = [sm.F1(THREE), sm.MatthewsCorrelation(THREE)]
    table = np.array([[0.27, 0.03, 0.02], [0.04, 0.3, 0.06], [0.01, 0.05, 0.22]])
    check_tables(metrics, "cells", [table])


def test_hits_of_the_top_k_are_covered():
    task = sm.Multiclass(3, "scores")
    metrics = [sm.TopKAccuracy(task, k=2), sm.TopKAccuracy(task, k=2, average=None)]
    check_tables(metrics, "hits", [np.array([[0.1, 0.2], [0.05, 0.35], [0.03, 0.27]])])


def test_means_are_covered():
    """Of normal, skewed and rare values."""
    metric, rng, size = sm.Mean("x"), np.random.default_rng(0), (2000, ROWS)
    draws = {0.0: rng.normal(size=size), 1.0: rng.exponential(size=size), 0.1: rng.random(size) < 0.1}
    states = [states_of_values(metric, values.astype(float)) for values in draws.values()]
    states.append(states_of_values(metric, rng.normal(size=(4000, 6))))
    by_t, by_z = read(
        lambda state: [sm.interval(metric, state, method=name) for name in ("t", "normal")],
        jax.tree.map(lambda *parts: np.concatenate(parts), *states),
    )
    for each in (by_t, by_z):
        for k, mean in enumerate(draws):
            within(coverage(jax.tree.map(lambda x, k=k: x[2000 * k : 2000 * (k + 1)], each), mean))
    of_few = [coverage(jax.tree.map(lambda x: x[6000:], each), 0.0) for each in (by_t, by_z)]
    within(of_few[0], 0.94, 0.96)
    assert of_few[1] < 0.91  # few values need t


def test_what_is_read_off_one_mean_is_covered():
    """The root of a mean of squares, and e to the power of a mean."""
    rng = np.random.default_rng(3)
    metric, values = sm.RootMeanSquaredError(), np.square(rng.normal(size=(3000, ROWS)))
    within(coverage(read(lambda state: sm.interval(metric, state), states_of_values(metric, values)), 1.0))
    metric, values = sm.Perplexity(LOGITS), rng.exponential(size=(3000, ROWS))
    within(coverage(read(lambda state: sm.interval(metric, state), states_of_values(metric, values)), np.e))


def test_areas_are_covered():
    """AUROC .76, .92 and .96 of normal scores, of which 100 or more are positive."""
    metric, rng, trials = sm.AUROC(LOGITS, bins=512), np.random.default_rng(0), 1500
    cases = [(0.5, 500), (1.0, 100), (1.2, 100)]
    true = np.stack([np.arange(ROWS) < positives for _, positives in cases]).repeat(trials, 0)
    sides = np.repeat([side for side, _ in cases], trials)[:, None]
    scores = (rng.normal(size=true.shape) + sides * (2 * true - 1)).astype(np.float32)
    found = jax.jit(lambda rows: jax.lax.map(lambda row: sm.interval(metric, metric.tally(*row)), rows))((scores, true))
    for k, (side, _) in enumerate(cases):
        part = jax.tree.map(lambda x, k=k: np.asarray(x)[k * trials : (k + 1) * trials], found)
        within(coverage(part, scipy.stats.norm.cdf(2 * side / np.sqrt(2))))


# Differences of two samples -------------------------------------------------------------------------------------------


def rejected(found):
    """How often a difference that is none is found."""
    return np.mean(found.p_value < 0.05)


def test_differences_of_shares_are_covered():
    metric, rng, trials = sm.Accuracy(B), np.random.default_rng(1), 3000
    pairs = [(0.1, 0.1), (0.1, 0.15), (0.5, 0.5), (0.7, 0.9)]
    sides = []
    for shares in zip(*pairs, strict=True):
        right = np.concatenate([rng.binomial(ROWS, p, trials) for p in shares])
        cells = np.stack([0 * right, ROWS - right, 0 * right, right], 1).reshape(-1, 2, 2)
        sides.append(states_of(metric, "cells", cells))
    found = read(lambda a, b: sm.compare(metric, a, b), *sides)
    for k, (p, q) in enumerate(pairs):
        part = jax.tree.map(lambda x, k=k: x[k * trials : (k + 1) * trials], found)
        within(coverage(part, q - p), 0.935, 0.965)
        if p == q:
            within(rejected(part), 0.03, 0.07)


def test_differences_of_f_scores_are_covered():
    metric, half = sm.F1(B), np.array([[0.4, 0.1], [0.1, 0.4]])
    states = states_of(metric, "cells", drawn(half, 6000))
    sides = [jax.tree.map(lambda x, k=k: x[k::2], states) for k in (0, 1)]
    found = read(lambda a, b: sm.compare(metric, a, b), *sides)
    within(coverage(found, 0.0))
    within(rejected(found), 0.03, 0.07)


def test_differences_of_means_of_few_values_are_covered():
    metric, draws = sm.Mean("x"), np.random.default_rng(4).normal(size=(4000, 14))
    few, more = states_of_values(metric, draws[:, :5]), states_of_values(metric, 3 * draws[:, 5:])
    found = read(lambda a, b: sm.compare(metric, a, b), few, more)
    within(coverage(found, 0.0))
    within(rejected(found), 0.03, 0.07)
