"""Studies to their ends: label noise on digits, label noise at 64x64, CollapseBench with a few remedies.

A study is a sweep in the work folder, whose checkpoints continue it while that folder lasts. Its rows are stored in the
out folder, as `benchmarks/stored_study.py` does: `STUDY/seeds_00-32` of a part that has ended, `STUDY/unfinished_00-32`
of one that has not. Seeds of parts that have ended are not run again, wherever their checkpoints are.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.accelerator.kit import Kit
from benchmarks.stored_study import store
from gan_jax.experiment.configs import load
from gan_jax.runs.collapsebench import known_collapses, play, read_scores
from gan_jax.runs.request import Request
from gan_jax.runs.sweep_directory import SweepDirectory
from gan_jax.runs.sweep_plan import StoppedSweepError, SweepOptions
from gan_jax.runs.sweep_session import SweepDone, resume_sweep, start_sweep

RATE = "discriminator.transforms.0.rate"
RATES = ("0.0", "0.01", "0.05", "0.1", "0.15", "0.2")
CHECKPOINT_SECONDS = 45.0
REMEDIES = ("plain", "label_noise", "r3gan", "packing_2")
SMALL = (("num-steps", "20"), ("eval-every-steps", "10"), ("batch-size", "16"), ("detector.num-samples", "64"))


class Pace:
    """Decides whether a sweep stops: when the time is up, or when it sees that it will not end in time.

    Args:
        kit: which knows the time.
        num_steps: of the sweep.
        may_split: whether a smaller part could end in time, so that there is no use in going on.
    """

    def __init__(self, kit: Kit, num_steps: int, *, may_split: bool) -> None:
        self._kit, self._num_steps, self._may_split = kit, num_steps, may_split
        self._seen: list[tuple[int, float]] = []
        self.is_slow = False

    @property
    def seconds(self) -> float | None:
        """What the whole sweep would take at its pace since the first evaluation; None if unknown."""
        if len(self._seen) < 2:
            return None
        (step, began), (last, now) = self._seen[0], self._seen[-1]
        return (now - began) / (last - step) * self._num_steps

    def __call__(self, step: int) -> bool:
        self._seen.append((step, time.monotonic()))
        if self._kit.left <= 0:
            return True
        if self._may_split and len(self._seen) in (4, 8) and self.seconds is not None:
            share = 1 - step / self._num_steps
            self.is_slow = self.seconds * share > self._kit.left
        return self.is_slow


def digits(kit: Kit) -> None:
    """The label-noise study on digits: six rates by 33 seeds, all of them in one program if time and memory allow."""
    seeds = range(2) if kit.small else range(33)
    run_study(kit, "digits_label_noise", list(seeds), SMALL if kit.small else (), {}, None)


def mnist64(kit: Kit) -> None:
    """The published label-noise study at 64x64, as far as the time goes. Its products are TF32, as PyTorch's are."""
    if kit.data is None:
        kit.measure("accelerator label_noise_mnist", "seeds 0-4", lambda: {"skipped": "no --data with MNIST"})
        return
    players = ("generator", "discriminator")
    settings = [("precision", "tensorfloat32"), *((f"{player}.network.convolution", "matmul") for player in players)]
    if kit.small:
        settings += [*SMALL, *((f"{player}.network.width", "2") for player in players), ("data.num-examples", "64")]
    run_study(kit, "label_noise_mnist", [0] if kit.small else list(range(5)), settings, {RATE: RATES}, kit.data)


def run_study(
    kit: Kit,
    config: str,
    seeds: Sequence[int],
    settings: Sequence[tuple[str, str]],
    axes: Mapping[str, Sequence[str]],
    data: Path | None,
) -> None:
    """Runs what is left of a study, in parts of as many seeds as can end in time.

    Args:
        kit: the surroundings.
        config: of the study.
        seeds: all of it.
        settings: of all arms.
        axes: in place of the config's own sweep; {} takes that.
        data: where its data set lies.
    """
    question, folder = f"accelerator {config}", kit.out / config
    size = len(seeds)
    while todo := [seed for seed in seeds if seed not in stored_seeds(folder)]:
        if kit.left < (0 if kit.small else 20):
            return
        part = todo[:size]
        pace = Pace(kit, num_steps(config, settings), may_split=len(part) > 1)
        found = functools.partial(run_part, kit, config, part, settings, axes, data, pace)
        case = f"seeds {part[0]}-{part[-1]}" if part else ""
        before = len(kit.rows())
        kit.measure(question, f"{case} from {time.strftime('%H:%M:%S')}", found)
        row = kit.rows()[before]
        if "error" in row or (not row["ended"] and not pace.is_slow):
            return
        if pace.is_slow:
            assert pace.seconds is not None
            # At best the time goes with the members; if it does not, the next part is smaller still.
            size = max(1, int(0.7 * len(part) * kit.left / pace.seconds))


def run_part(
    kit: Kit,
    config: str,
    seeds: Sequence[int],
    settings: Sequence[tuple[str, str]],
    axes: Mapping[str, Sequence[str]],
    data: Path | None,
    pace: Pace,
) -> dict[str, Any]:
    """Runs or continues some seeds, and stores their rows, whether they have ended or not.

    Returns:
        Figures: members, steps reached, whether they ended, seconds, the strategy and the batches, steps/s.
    """
    name = f"{seeds[0]:02d}-{seeds[-1]:02d}"
    path, began = kit.work / config / f"seeds_{name}", time.monotonic()
    log = functools.partial(print, file=sys.stderr, flush=True)
    strategy = "vmap" if jax.local_device_count() == 1 else "pmap-vmap"
    options = SweepOptions(
        strategy=strategy, num_pictures=0, progress=False, checkpoint_seconds=CHECKPOINT_SECONDS, stops=pace
    )
    location = None if data is None else str(data)
    request = Request(config=config, settings=tuple(settings), location=location, run_dir=str(path), command=_command())
    ended = True
    try:
        sweep(path, request, axes, seeds, options, log)
    except StoppedSweepError as stopped:
        ended = False
        log(f"{config}: {stopped}")
    seconds = time.monotonic() - began
    target = kit.out / config / f"{'seeds' if ended else 'unfinished'}_{name}"
    shutil.rmtree(kit.out / config / f"unfinished_{name}", ignore_errors=True)
    store(path, target, unfinished=not ended)
    directory = SweepDirectory(path)
    rows = directory.read_members()
    plan = directory.read_plans()[0]
    speeds = [row["steps_per_second"] for row in directory.read_metrics() if row["steps_per_second"]]
    return {
        "members": len(rows),
        "steps": min(row["last_step"] for row in rows),
        "of_steps": num_steps(config, settings),
        "ended": ended,
        "predicted_seconds": pace.seconds,
        "sweep_seconds": round(seconds, 1),
        "strategy": plan.strategy,
        "batches": [len(batch) for batch in plan.batches],
        "steps_per_second": max(speeds, default=None),
        "collapsed": sum(row["verdict"]["outcome"] == "collapsed" for row in rows),
    }


def sweep(
    path: Path,
    request: Request,
    axes: Mapping[str, Sequence[str]],
    seeds: Sequence[int],
    options: SweepOptions,
    log: Any,
) -> SweepDone:
    """Starts a sweep, or continues the one that is there; one that cannot be continued is begun anew."""
    if (path / "sweep.json").is_file():
        try:
            return resume_sweep(path, request, options, log)
        except StoppedSweepError:
            raise
        except ValueError as error:
            log(f"{path}: begun anew, since {error}")
            shutil.rmtree(path)
    return start_sweep(request, axes, seeds, options, log)


def stored_seeds(folder: Path) -> set[int]:
    """Seeds of the parts of a study that have ended."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("seeds_*/sweep.json")]
    return {seed for record in records for seed in record["seeds"]}


def num_steps(config: str, settings: Sequence[tuple[str, str]]) -> int:
    """Steps of each run of a study."""
    return int(dict(settings).get("num-steps", load(config).num_steps))


def remedies(kit: Kit) -> None:
    """A row a remedy of CollapseBench: its runs' outcomes, on the games for which there are data."""
    known = known_collapses()
    games = {name: game for name, game in known["games"].items() if kit.data is not None or "mnist" not in name}
    if kit.small:
        games = {}
    for name in REMEDIES:
        if not kit.measure("accelerator remedies", name, functools.partial(_played, kit, name, known, games), 30.0):
            return


def _played(kit: Kit, remedy: str, known: Mapping[str, Any], games: Mapping[str, Any]) -> dict[str, Any]:
    root = kit.work / "collapsebench"
    root.mkdir(parents=True, exist_ok=True)
    log = functools.partial(print, file=sys.stderr, flush=True)
    strategy = "vmap" if jax.local_device_count() == 1 else "pmap-vmap"
    pace = Pace(kit, 1, may_split=False)
    options = SweepOptions(
        strategy=strategy, num_pictures=0, progress=False, checkpoint_seconds=CHECKPOINT_SECONDS, stops=pace
    )
    location = None if kit.data is None else str(kit.data)
    played: dict[str, Any] = {}
    for game, frozen in games.items():
        if kit.left > 0:
            with contextlib.suppress(StoppedSweepError):  # the next call continues it
                play(root, remedy, {**known, "games": {game: frozen}}, location, options, _command(), log)
    for row in read_scores(root):
        if row["remedy"] == remedy:
            played.setdefault(row["game"], []).append([row["seed"], row["outcome"], row["onset_step"]])
    return {"played": played, "ended": len(played) == len(games)}


def _command() -> str:
    return " ".join(["python -m benchmarks.accelerator", *sys.argv[1:]])
