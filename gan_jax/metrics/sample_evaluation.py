"""All metrics of the samples of any program, with intervals, values of real data, floors and definitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.metrics.intervals import error_quantile, half_sample_errors
from gan_jax.metrics.metric_kind import Known, SampleMetric
from gan_jax.metrics.mode_grid import CONFIDENCES, MIN_COUNTS, mode_grid
from gan_jax.metrics.sample_cases import Features, SampleError, prepared_samples
from gan_jax.metrics.sample_metrics import SAMPLE_METRICS
from gan_jax.metrics.sample_sets import SampleSet
from gan_jax.metrics.yardsticks import Yardstick


class Sets(NamedTuple):
    """The samples, the reference, and real examples that are not in it."""

    samples: SampleSet
    reference: SampleSet
    other: SampleSet


def evaluate_samples(
    samples: Any,
    data: Any,
    *,
    metrics: str | Sequence[str] = "all",
    reference: Any = "train",
    features: Features = "auto",
    dataset: Any = None,
    location: str | Path | None = None,
    intervals: bool = True,
    seed: int = 0,
    source: str = "the array of samples",
    signed: bool = False,
) -> dict[str, Any]:
    """Measures samples of any program against real data. It runs on the host and compiles one program a metric.

    Args:
        samples: an array [n, ...]: images as numpy or PyTorch have them, or points; `gan_jax.data.sample_files` says
            what is recognised.
        data: what they should look like: the name of an image data set ("mnist"), `Images`, `StackedImages`, a mixture
            such as `Ring()`, or an array of real examples of the samples' shape.
        metrics: "all" that can be measured, or names from `SAMPLE_METRICS`, as a list or with commas.
        reference: "train" or "test", the split that is compared with, or an array of real examples.
        features: "auto" (the project's classifier where one is validated, else pixels), "pixels", an .npz of
            Inception's weights (`gan_jax.metrics.inception`), or a function of samples [n, size, size, c] in [-1, 1]
            (or points) that returns features [n, d].
        dataset: of `data`, if it is loaded.
        location: folder of the data set; None: the default places.
        intervals: whether to estimate them, which takes most of the time.
        seed: of permutations, subsets, directions and halves.
        source: what the samples are, for messages.
        signed: whether images are known to be in [-1, 1], whatever range they take up; else it is read off them.

    Returns:
        JSON: "values" by name with value, 95 % interval, value of real data, floor, meaning and definition; "grid" of
        mode counts; what was compared with what; notes.

    Raises:
        SampleError: for a metric or a feature space that is not known, or too few samples for a metric that was named.
        DataError: for samples or data that cannot be read.

    Example:
        >>> import gan_jax as gj
        >>> points = gj.Ring().source(()).sample(jax.random.key(0), 500)
        >>> result = evaluate_samples(points, gj.Ring(), metrics="modes", intervals=False)
        >>> result["values"]["modes"]["value"]
        8.0
    """
    asked = chosen_metrics(metrics)
    named = metrics != "all"
    memorisation = any("copying" in metric.needs for metric in asked)
    read, yardstick = prepared_samples(
        samples, data, memorisation, reference, features, dataset, location, seed, source, signed
    )
    rows = jnp.asarray(read.array)
    dims = int(jax.eval_shape(yardstick.space.extract, rows[:2]).shape[1])
    asked = asked if named else [metric for metric in asked if _applies(metric, yardstick)]
    left_out = {metric.name: why for metric in asked if (why := _obstacle(metric, yardstick, len(rows), dims))}
    if left_out and (named or len(left_out) == len(asked)):
        raise SampleError(f"{source}: {next(iter(left_out.values()))}")
    able = [metric for metric in asked if metric.name not in left_out]
    needed = {field for metric in able for field in metric.needs}
    sets = Sets(
        yardstick.measured(rows, needed),
        yardstick.measured(yardstick.reference, needed - {"copying"}),
        # Distances of real data to the training set are of held-out examples alone.
        yardstick.measured(yardstick.other, needed - {"copying"})._replace(copying=yardstick.fresh),
    )
    values: dict[str, Any] = {}
    for metric in able:
        values |= _measured_values(metric, sets, yardstick.known, intervals)
    return {
        "samples": source,
        "num_samples": len(rows),
        "shape": list(rows.shape[1:]),
        **yardstick.described,
        "num_reference": len(yardstick.reference),
        "num_real": len(yardstick.other),
        "features": {"name": yardstick.space.name, "dims": dims, "accuracy": yardstick.accuracy},
        "seed": seed,
        "notes": [*read.notes, *yardstick.notes],
        "left_out": left_out,
        "values": values,
        "grid": _grid(sets, yardstick.known) if any(m.name == "modes" for m in able) else None,
    }


def make_measure(data: Any, dataset: Any, metrics: str, num_samples: int) -> Callable[[Any], dict[str, float | None]]:
    """A function that measures samples again and again, as a run does at its evaluations. It gives values alone.

    Args:
        data: the data of an experiment.
        dataset: what `data.load` returned.
        metrics: "all", or names with commas.
        num_samples: how many samples it will be given; it is tried on so many, which compiles the programs.

    Returns:
        samples [num_samples, ...] -> values by name. All are None where a sample is not finite.

    Raises:
        SampleError: for a metric that is not known, or that these data or so few samples do not allow.

    Example:
        >>> from gan_jax.data.mixtures import Ring
        >>> measure = make_measure(Ring(), (), "modes", 200)
        >>> measure(Ring().source(()).sample(jax.random.key(0), 200))["modes"]
        8.0
    """

    def measure(samples: Any) -> dict[str, float | None]:
        found = evaluate_samples(samples, data, metrics=metrics, dataset=dataset, intervals=False, signed=True)
        return {name: row["value"] if np.isfinite(row["value"]) else None for name, row in found["values"].items()}

    names = measure(np.random.default_rng(0).uniform(-1, 1, (num_samples, *data.shape)).astype(np.float32))

    def finite(samples: Any) -> dict[str, float | None]:
        return measure(samples) if np.isfinite(samples).all() else dict.fromkeys(names)

    return finite


def chosen_metrics(names: str | Sequence[str]) -> list[SampleMetric]:
    """The metrics of these names, in the table's order.

    Raises:
        SampleError: for a name that is not known.
    """
    asked = names.split(",") if isinstance(names, str) else list(names)
    asked = [name.strip() for name in asked]
    known = {metric.name: metric for metric in SAMPLE_METRICS}
    if asked == ["all"]:
        return list(SAMPLE_METRICS)
    for name in asked:
        if name not in known:
            raise SampleError(f"there is no metric {name!r}: all, or some of {', '.join(known)}")
    return [metric for metric in SAMPLE_METRICS if metric.name in asked]


def _applies(metric: SampleMetric, yardstick: Yardstick) -> bool:
    """Whether a metric is defined for data of this kind: single images, stacked images, or points."""
    points = yardstick.reference.ndim == 2
    foreign = {"probabilities", "similarity", "copying"} if points else {"mixture"}
    return not foreign & set(metric.needs)


def _obstacle(metric: SampleMetric, yardstick: Yardstick, num: int, dims: int) -> str | None:
    """The reason why a metric cannot be measured; None if it can."""
    missing = [field for field in metric.needs if not yardstick.has(field)]
    if missing:
        wanted = {
            "weights": "known modes or a validated classifier",
            "probabilities": "a validated classifier of single images",
            "mixture": "a mixture whose density is known",
            "copying": "a training set of single images",
            "similarity": "images of at least 11 pixels along a side",
        }
        return f"{metric.name} takes {next((wanted[field] for field in missing if field in wanted), 'other data')}"
    least = metric.least(dims)
    for count, what in ((num, "samples"), (len(yardstick.reference), "reference examples")):
        if count < least:
            of = f" of {dims} features" if "features" in metric.needs else ""
            return f"{metric.name}{of} takes at least {least:,} {what}, and there are {count:,}: draw more"
    return None


def _measured_values(metric: SampleMetric, sets: Sets, known: Known, intervals: bool) -> dict[str, Any]:
    """The rows of the result for the metric's values, by name."""

    def needed(part: SampleSet) -> SampleSet:
        return SampleSet(**{name: value for name, value in part._asdict().items() if name in metric.needs})

    samples, real, other = map(needed, sets)
    compute = jax.jit(metric.compute)
    found = {name: float(value) for name, value in compute(samples, real, known).items()}
    on_real = {name: float(value) for name, value in compute(other, real, known).items()}
    nums = tuple(max((leaf.shape[0] for leaf in jax.tree.leaves(part)), default=0) for part in (samples, real))
    floors = metric.floors(real, known, *nums)
    errors: dict[str, float] = {}
    if metric.errors is not None:
        errors = metric.errors(found, *nums)
    elif intervals:
        spread = jax.jit(lambda a, b, k: half_sample_errors(lambda x, y: metric.compute(x, y, k), a, b, k.key))
        errors = {name: float(value) for name, value in spread(samples, real, known).items()}
    rows = {}
    for value in metric.values:
        half = errors.get(value.name, float("nan")) * error_quantile()
        ends = [max(found[value.name] - half, value.least), min(found[value.name] + half, value.most)]
        has_interval = value.has_interval and bool(np.isfinite(half))
        floor = floors.get(value.name)
        rows[value.name] = {
            "metric": metric.name,
            "value": found[value.name],
            "interval": ends if has_interval else None,
            "real": on_real[value.name],
            "floor": None if floor is None else float(floor),
            "better": value.better,
            "meaning": value.meaning,
            "definition": metric.definition,
        }
    return rows


def _grid(sets: Sets, known: Known) -> dict[str, Any]:
    """Modes and KL of the samples, and modes of real data, by confidence and minimum count."""
    points = known.mixture is not None
    confidences = jnp.array([0.0, 1.0]) if points else jnp.array(CONFIDENCES)
    counts = jnp.array(MIN_COUNTS)
    found, real = (
        mode_grid(part.mode, part.confidence, known.weights, confidences, counts) for part in (sets.samples, sets.other)
    )
    products = {}
    if sets.samples.joint is not None:
        by_product, real_by_product = (
            mode_grid(part.mode, part.joint, known.weights, confidences, counts).modes
            for part in (sets.samples, sets.other)
        )
        products = {"product_modes": by_product, "real_product_modes": real_by_product}
    return {
        "confidences": [0.0, 1.0] if points else list(CONFIDENCES),
        "min_counts": list(MIN_COUNTS),
        "rule": "within 3 std of the nearest mode (1) or anywhere (0)" if points else "least class probability",
        **{name: np.asarray(value).tolist() for name, value in found._asdict().items()},
        "real_modes": np.asarray(real.modes).tolist(),
        **{name: np.asarray(value).tolist() for name, value in products.items()},
    }
