"""What kills, damage, full disks, second writers and signals do to a run: a row a case, and whether all is well.

    python -m tests.reliability.table                       # 100 kills, 40 kinds of damage, the rest: minutes
    python -m tests.reliability.table --kills 5 --cases kills,signals --seed 3

A case is well if the resumed folder equals the uninterrupted one bit for bit (rows and last state), or if a line said
what is wrong and nothing was lost. Runs are started as processes and resumed in this one, with one cache of programs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

_FLAGS = "--xla_force_host_platform_device_count=1 --xla_backend_optimization_level=0"
if "jax" not in sys.modules:  # under pytest, conftest.py has set what programs are compiled with
    os.environ |= {"XLA_FLAGS": _FLAGS, "JAX_PLATFORMS": "cpu", "MPLBACKEND": "agg"}
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "gan_jax_reliability_cache"))
    os.environ |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}

from gan_jax.cli.main import main
from gan_jax.runs.checkpoint import Checkpoints, to_host, tree_hash
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.runner import stacked_template, state_template
from gan_jax.runs.sweep_directory import SweepDirectory
from tests.runs import test_damage as damage

STEPS, EVERY = 200, 20
CONFIG = damage.CONFIG.replace("num_steps=16, eval_every_steps=4", f"num_steps={STEPS}, eval_every_steps={EVERY}")
WAIT = 240


class Row(NamedTuple):
    case: str
    said: str
    outcome: str
    well: bool


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "gan_jax", *map(str, arguments), "--quiet", "--pictures", "2"]


def start(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def here(*arguments: object) -> tuple[int, str]:
    """Exit code and standard error of a command that is run in this process."""
    error = io.StringIO()
    handler = logging.StreamHandler(error)
    logging.getLogger().addHandler(handler)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
            code = main(command(*arguments)[3:])
    finally:
        logging.getLogger().removeHandler(handler)
    return code, error.getvalue()


def numbers(path: Path) -> tuple[object, str]:
    """All that must be equal: the rows, and the hash of the last states."""
    if (path / "sweep.json").exists():
        sweep = SweepDirectory(path)
        hashes = []
        for number, batch in enumerate(sweep.read_plans()[0].batches):
            template = stacked_template(sweep.read_record().sweep.arms[0].experiment, len(batch))
            folder = sweep.batch_path(0, number) / "checkpoints"
            hashes.append(tree_hash(to_host(Checkpoints(folder, read_only=True).restore(template, STEPS))))
        rows = sorted(sweep.read_metrics(), key=lambda row: (row["member"], row["step"]))
        return [{**row, "steps_per_second": 0} for row in rows] + sweep.read_members(), ",".join(hashes)
    run = RunDirectory(path)
    template = state_template(run.read_record().experiment)
    state = Checkpoints(run.checkpoints_path, read_only=True).restore(template, STEPS)
    return [{**row, "steps_per_second": 0} for row in run.read_metrics()], tree_hash(to_host(state))


def short(text: str) -> str:
    lines = [line for line in text.splitlines() if "gan-jax:" in line or "resuming" in line or "cannot" in line]
    return " / ".join(lines)[:150]


def resumed(case: str, path: Path, expected: object, what: str = "train") -> Row:
    """The row of a folder that was stopped in some way and is resumed."""
    code, said = here(what, "--resume", path)
    if code:
        return Row(case, short(said), "refused", well=len(said.splitlines()) <= 3 and "Traceback" not in said)
    equal = numbers(path) == expected
    return Row(case, short(said), "equal" if equal else "DIFFERENT", well=equal and "Traceback" not in said)


def checkpoints_of(path: Path) -> Path:
    batches = path / "batches" / "00_000" / "checkpoints"
    return batches if (path / "batches").exists() else path / "checkpoints"


def wait_for(process: subprocess.Popen, path: Path, rng: random.Random, inside: bool) -> None:
    """Returns at a random moment of a run, or while a checkpoint is being written."""
    wanted, deadline = rng.randint(0, STEPS // EVERY - 4) * EVERY, time.monotonic() + WAIT
    while process.poll() is None and time.monotonic() < deadline:
        folder = checkpoints_of(path)
        steps = [int(p.name) for p in folder.glob("*") if p.name.isdecimal()]
        begun = any((path / name).exists() for name in ("experiment.json", "sweep.json"))
        if begun and max(steps, default=0) >= wanted:
            if not inside:
                time.sleep(rng.uniform(0, 0.3))
                return
            if any(folder.glob("*.orbax-checkpoint-tmp*")):
                return
        time.sleep(0.0005)


def killed(arguments: tuple, path: Path, seed: int, inside: bool) -> int:
    process = start(*arguments, "--run-dir", path)
    wait_for(process, path, random.Random(seed), inside)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode


def killed_of_two(arguments: tuple, path: Path, seed: int) -> int:
    """Kills one of two processes of a sweep; the other stops by itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hosts = ("--coordinator", f"127.0.0.1:{port}", "--num-processes", 2, "--process-id")
    processes = [start(*arguments, "--run-dir", path, *hosts, number) for number in range(2)]
    rng = random.Random(seed)
    wait_for(processes[0], path, rng, inside=False)
    processes[rng.randrange(2)].send_signal(signal.SIGKILL)
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=WAIT)
        process.kill()
    return -signal.SIGKILL


class Table:
    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.seed, self.rows = root, seed, list[Row]()
        self.config = root / "few.py"
        self.config.write_text(CONFIG, encoding="utf-8")
        self.train = ("train", self.config)
        self.sweep = ("sweep", self.config, "--strategy", "map", "--max-members", 2)
        self.pmap = ("sweep", self.config, "--strategy", "pmap-map")
        self.expected: dict[str, object] = {}

    def whole(self, name: str) -> object:
        """The numbers of the uninterrupted run or sweep, made once."""
        if name not in self.expected:
            arguments = {"run": self.train, "sweep": self.sweep, "two": self.pmap}[name]
            assert here(*arguments, "--run-dir", self.root / name)[0] == 0
            self.expected[name] = numbers(self.root / name)
        return self.expected[name]

    def add(self, row: Row) -> None:
        self.rows.append(row)
        print(f"{'ok ' if row.well else 'BAD'} {row.case:52} {row.outcome:10} {row.said}", flush=True)

    def kills(self, num: int) -> None:
        """Half of them in runs, the others in sweeps, a tenth over two processes; every third inside a save."""
        kinds = ["two" if i % 10 == 9 else ("run", "sweep")[i % 2] for i in range(num)]
        for kind in sorted(set(kinds)):
            self.whole(kind)

        def one(index: int) -> tuple[str, Path, int]:
            kind, path, inside = kinds[index], self.root / f"kill{index}", index % 3 == 2
            case = f"kill {index}: {kind}{', inside a save' if inside and kind != 'two' else ''}"
            if kind == "two":
                return case, path, killed_of_two(self.pmap, path, self.seed + index)
            return case, path, killed(self.train if kind == "run" else self.sweep, path, self.seed + index, inside)

        with ThreadPoolExecutor(2) as pool:
            for index, (case, path, code) in enumerate(pool.map(one, range(num))):
                what = "train" if kinds[index] == "run" else "sweep"
                if code != -signal.SIGKILL:
                    self.add(Row(case, "", "not killed: it had ended", well=code == 0))
                elif not any((path / name).exists() for name in ("experiment.json", "sweep.json")):
                    self.add(Row(case, "", "no folder yet", well=True))
                else:
                    self.add(resumed(case, path, self.whole(kinds[index]), what))
                shutil.rmtree(path, ignore_errors=True)

    def damages(self) -> None:
        """The kinds of tests/runs/test_damage.py, on a longer run, resumed."""
        kinds: dict[str, Callable] = {
            f"checkpoint {kind}": lambda run, kind=kind: damage.damage_checkpoint(run, STEPS, kind)
            for kind in damage.KINDS
        }
        kinds |= {f"rows: {kind}": change for kind, change in damage.ROWS.items()}
        kinds |= damage.HARMLESS
        kinds |= {f"lost: {kind}": change for kind, change in damage.REFUSED.items()}
        self.whole("run")
        for kind, change in kinds.items():
            path = self.root / "damaged"
            shutil.copytree(self.root / "run", path)
            with contextlib.suppress(FileNotFoundError):
                change(RunDirectory(path))
            if "verdict" not in kind:
                (path / "verdict.json").unlink()
            self.add(resumed(kind, path, self.whole("run")))
            shutil.rmtree(path)
        self.whole("sweep")
        for kind, change in {**{k: c for k, (c, _) in damage.SWEEPS.items()}, **damage.PLANS}.items():
            path = self.root / "damaged"
            shutil.copytree(self.root / "sweep", path)
            change(SweepDirectory(path))
            self.add(resumed(f"sweep: {kind}", path, self.whole("sweep"), "sweep"))
            shutil.rmtree(path)

    def signals(self) -> None:
        for name, sent in (("SIGTERM", [signal.SIGTERM]), ("SIGINT", [signal.SIGINT]), ("SIGINT twice", [2, 2])):
            path = self.root / name.replace(" ", "_")
            process = start(*self.train, "--run-dir", path)
            wait_for(process, path, random.Random(self.seed + 3), inside=False)
            for one in sent:
                process.send_signal(one)
                time.sleep(0.05)
            process.communicate()
            self.add(resumed(f"{name} (exit code {process.returncode})", path, self.whole("run")))

    def writers(self) -> None:
        path = self.root / "two_writers"
        process = start(*self.train, "--run-dir", path)
        wait_for(process, path, random.Random(1), inside=False)
        while process.poll() is None and not (path / ".lock").exists():
            time.sleep(0.001)
        code, said = here("train", "--resume", path)
        process.communicate()
        well = code == 2 and "another process" in said and numbers(path) == self.whole("run")
        self.add(Row("two writers", short(said), "refused", well))

    def disks(self) -> None:
        """A full disk and a folder that cannot be written; both need the right to mount."""
        place = self.root / "disk"
        for size in (200, 400, 800, 1600):
            with mounted(place, "-t", "tmpfs", "-o", f"size={size}k", "tmpfs") as could:
                if not could:
                    return print("not root: no full disk and no folder that cannot be written")
                process = start(*self.train, "--run-dir", place / "run")
                _, said = process.communicate()
                case = f"full disk of {size} kB (exit code {process.returncode})"
                told = process.returncode in (0, 2) and "Traceback" not in said
                subprocess.run(["mount", "-o", "remount,size=200m", place], check=True)
                if not (place / "run" / "experiment.json").exists():
                    self.add(Row(case, short(said), "nothing left behind", told and not (place / "run").exists()))
                else:
                    row = resumed(case, place / "run", self.whole("run"))
                    self.add(row._replace(said=short(said) + " / " + row.said, well=row.well and told))
        self.whole("run")
        with mounted(place, "--bind", self.root / "run"):
            subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
            code, said = here("train", "--resume", place, "--num-steps", STEPS + EVERY)
            self.add(Row("resume in a read-only folder", short(said), "refused", code == 2 and "Traceback" not in said))
            done = subprocess.run(command("diagnose", "game", place, "--json")[:-3], capture_output=True, text=True)
            well = done.returncode == 0 and '"sentence"' in done.stdout and "not kept" in done.stderr
            self.add(Row("diagnose in a read-only folder", short(done.stderr), "printed", well))


@contextlib.contextmanager
def mounted(place: Path, *options: object) -> Iterator[bool]:
    place.mkdir(exist_ok=True)
    could = subprocess.run(["mount", *map(str, options), place], capture_output=True).returncode == 0
    try:
        yield could
    finally:
        if could:
            subprocess.run(["umount", place], check=True)


def make_table(root: Path, kills: int, cases: list[str], seed: int) -> list[Row]:
    """Runs the cases, prints a row each, and returns them."""
    table = Table(root, seed)
    if "kills" in cases:
        table.kills(kills)
    for case in cases:
        if case != "kills":
            getattr(table, case)()
    bad = [row for row in table.rows if not row.well]
    print(f"{len(table.rows) - len(bad)} of {len(table.rows)} are well")
    return table.rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--cases", default="kills,damages,signals,writers,disks")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = make_table(Path(folder), options.kills, options.cases.split(","), options.seed)
    sys.exit(any(not row.well for row in made))
