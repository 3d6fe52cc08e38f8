"""The words of `gan-jax diagnose support`, from its result alone."""

from __future__ import annotations

from typing import Any

from gan_jax.reports.drawing import aligned


def sentence(result: dict[str, Any]) -> str:
    """What the last checkpoint says, in the last space: features where there are any."""
    row = result["rows"][-1]
    name, seen = list(row["spaces"].items())[-1]
    real = result["spaces"][name]["real"]
    told = f"At step {row['step']:,} G makes {_size(seen)} different samples, by distances in {name}; the same rule "
    told += f"finds {_size(real)} among {real['num_samples']:,} real examples"
    if seen["size"] is not None and real["size"] is not None:
        told += f", a ratio of {seen['size'] / real['size']:.2g}"
    return (
        f"{told}. {seen['share_close']:.1%} of the fakes are as near to a training example as {result['quantile']:.0%} "
        f"of the held-out ones, and their median distance is {seen['nearest_ratio']:.2f} times that of held-out ones."
    )


def _size(size: dict[str, Any]) -> str:
    """Like "1,200 (900 to 1,700)" or "more than 40,000"."""
    if size["size"] is None:
        return f"more than {_count(size['low'])}"
    high = "no bound" if size["high"] is None else _count(size["high"])
    return f"{_count(size['size'])} ({_count(size['low'])} to {high})"


def _count(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 10 else f"{value:.2g}"


def table(result: dict[str, Any]) -> str:
    """A row a checkpoint and space, and one of real examples."""
    rows = [["step", "space", "support size (95 %)", "pairs", "half chance at", "near training", "distance ratio"]]
    for name, space in result["spaces"].items():
        real = space["real"]
        rows.append(["real", name, _size(real), f"{real['pairs']:,}", _half(real), f"{result['quantile']:.1%}", "1"])
    for row in result["rows"]:
        for name, seen in row["spaces"].items():
            rows.append(
                [
                    f"{row['step']:,}",
                    name,
                    _size(seen),
                    f"{seen['pairs']:,}",
                    _half(seen),
                    f"{seen['share_close']:.1%}",
                    f"{seen['nearest_ratio']:.2f}",
                ]
            )
    thresholds = ", ".join(f"{space['threshold']:.3g} in {name}" for name, space in result["spaces"].items())
    return "\n".join(
        [
            *aligned(rows),
            f"{result['num_samples']:,} samples; {result['examples']}; samples are the same below {thresholds}",
            "half chance at: samples of which two are the same with probability 1/2 (birthday paradox)",
            "near training: share of fakes nearer to a training example than that; of held-out examples it is "
            f"{result['quantile']:.0%}",
            "distance ratio: median distance to the nearest training example, fakes over held-out examples",
        ]
    )


def _half(size: dict[str, Any]) -> str:
    return "-" if size["batch_half"] is None else _count(size["batch_half"])
