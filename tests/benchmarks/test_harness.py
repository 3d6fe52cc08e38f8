"""Rows, rounds, peers and arguments of the benchmarks, and their counts of operations."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import benchmarks
from benchmarks import programs
from benchmarks.forgetting_ring6 import forgotten
from benchmarks.harness import (
    SCHEMA,
    arguments,
    emit,
    mean_and_error,
    picked,
    read_rows,
    rounds,
    significant,
    spread,
)
from benchmarks.peer import Peer, PeerError
from benchmarks.programs import compile_timed, matmul_flops
from gan_jax.diagnostics.state.scores import score_at
from gan_jax.experiment.examples import tiny_ring
from gan_jax.training.chunks import Chunk

FOLDER = Path(benchmarks.__file__).parent
SHARED = ("__init__", "benchmarks", "harness", "peer", "programs")
SCRIPTS = sorted(
    path.stem for path in FOLDER.glob("*.py") if path.stem not in SHARED and not path.stem.endswith("_torch")
)


def test_a_row_is_one_line_of_json_with_the_schema_and_the_figures(tmp_path, capsys):
    out = tmp_path / "new" / "rows.jsonl"
    figures = {"a": np.float32(0.5), "b": [1.0, float("nan")], "c": {"d": np.arange(2)}, "e": jnp.float32(2), "f": None}
    row = emit("speed", "ring", figures, out)
    printed = capsys.readouterr().out
    assert printed == out.read_text()
    assert printed.count("\n") == 1
    assert json.loads(printed) == row
    assert set(row) == {*SCHEMA, *figures}
    assert {name: row[name] for name in figures} == {
        "a": 0.5,
        "b": [1.0, None],
        "c": {"d": [0, 1]},
        "e": 2.0,
        "f": None,
    }
    assert (row["question"], row["case"], row["num_devices"]) == ("speed", "ring", jax.device_count())
    assert row["xla_flags"] == os.environ["XLA_FLAGS"]


def test_a_figure_can_not_hide_a_key_of_the_schema():
    with pytest.raises(ValueError, match="the schema of a row has device: give the figures other names"):
        emit("speed", "ring", {"device": 1})


def test_rows_are_appended_and_need_not_be_printed(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    for number in range(3):
        emit("speed", "ring", {"number": number}, out, show=False)
    assert [row["number"] for row in read_rows(out)] == [0, 1, 2]
    assert capsys.readouterr().out == ""
    assert read_rows(tmp_path / "none.jsonl") == []


KILLED = """
import os, pathlib, signal, sys
from benchmarks.harness import emit
out = pathlib.Path(sys.argv[1])
emit("speed", "ring", {"number": 0}, out)
emit("speed", "ring", {"number": 1}, out)
out.open("a").write('{"question": "spe')
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_leaves_whole_rows_and_the_next_one_goes_on(tmp_path):
    out = tmp_path / "rows.jsonl"
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(out)], env=environment, stdout=subprocess.DEVNULL)
    assert killed.returncode == -9
    # The stream's buffer died with the process, so that the half row is written here.
    with out.open("a") as file:
        file.write('{"question": "spe')
    assert [row["number"] for row in read_rows(out)] == [0, 1]
    emit("speed", "ring", {"number": 2}, out)
    assert [json.loads(line)["number"] for line in out.read_text().splitlines()] == [0, 1, 2]


def test_ways_take_turns_and_the_first_round_does_not_count():
    order: list[str] = []
    clocks = {name: iter(values) for name, values in {"a": (9.0, 1.0, 2.0, 3.0), "b": (9.0, 2.0, 8.0, 3.0)}.items()}

    def way(name):
        def round() -> float:
            order.append(name)
            return next(clocks[name])

        return round

    seconds = rounds({name: way(name) for name in clocks}, 3)
    assert order == ["a", "b"] * 4
    assert {name: list(spent) for name, spent in seconds.items()} == {"a": [1, 2, 3], "b": [2, 8, 3]}
    assert spread("ratio", seconds["b"] / seconds["a"]) == {"ratio": 2.0, "ratio_quartiles": [1.5, 3.0]}


def test_rounds_go_on_until_they_have_taken_long_enough():
    assert len(rounds({"a": lambda: 0.0}, 1, min_seconds=0.05)["a"]) > 1


def test_medians_quartiles_means_and_errors_of_known_numbers():
    assert spread("x", [5.0, 1.0, 2.0, 3.0, 4.0]) == {"x": 3.0, "x_quartiles": [2.0, 4.0]}
    assert spread("x", [1.0, 2.0]) == {"x": 1.5, "x_quartiles": [1.25, 1.75]}
    assert mean_and_error([1.0, 2.0, 3.0, float("nan")]) == [2.0, 0.5774]
    assert mean_and_error([4.0]) == [4.0, None]
    assert mean_and_error([float("nan")]) == [None, None]
    assert significant(0.00123456) == 0.001235
    assert significant(float("inf")) is None


PEER = """
import json, sys
print(json.dumps({"torch": "1.0", "arguments": sys.argv[1:]}), flush=True)
for number, _ in enumerate(sys.stdin):
    if number == 2:
        sys.exit("out of memory")
    print(0.5 + number, flush=True)
"""


def make_peer(tmp_path: Path, text: str, *given: object) -> Peer:
    script = tmp_path / "peer.py"
    script.write_text(text)
    return Peer(sys.executable, script, *given)


def test_a_peer_times_rounds_when_told_to(tmp_path):
    peer = make_peer(tmp_path, PEER, "ring", 20)
    assert peer.about == {"torch": "1.0", "arguments": ["ring", "20"]}
    assert [peer.round(), peer.round()] == [0.5, 1.5]
    peer.close()


def test_a_peer_that_dies_gives_one_clear_error(tmp_path):
    peer = make_peer(tmp_path, PEER, "ring")
    assert (peer.round(), peer.round()) == (0.5, 1.5)
    with pytest.raises(PeerError, match=r"the peer `\S+ peer.py ring` ended with exit code 1: out of memory"):
        peer.round()
    with pytest.raises(PeerError, match="ended with exit code 1: ModuleNotFoundError: No module named 'absent'"):
        make_peer(tmp_path, "import absent")
    with pytest.raises(PeerError, match="ended with exit code 0: it wrote no error"):
        make_peer(tmp_path, "")
    with pytest.raises(PeerError, match="printed 'hello' and was stopped"):
        make_peer(tmp_path, "print('hello', flush=True)\nimport time\ntime.sleep(60)")


def test_arguments_and_names_of_cases(capsys):
    parser = arguments("What is fast?", rounds=5, seeds=2, cases="arms", peers=True, pictures=True)
    options = parser.parse_args(["--rounds", "3", "--out", "rows.jsonl"])
    assert (options.rounds, options.seeds, options.out, options.torch_python) == (3, 2, Path("rows.jsonl"), None)
    known = ["plain", "n=10, wide", "n=20, wide"]
    assert picked(parser, None, known) == known
    assert picked(parser, "n=10, wide", known) == ["n=10, wide"]
    assert picked(parser, "plain;n=20, wide", known) == ["plain", "n=20, wide"]
    assert picked(parser, "a,b", ["a", "b"]) == ["a", "b"]
    with pytest.raises(SystemExit):
        picked(parser, "plian", known)
    assert "--cases: no plian; there are plain; n=10, wide; n=20, wide" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parser.parse_args(["--rounds", "0"])
    assert "it is 0, and must be at least 1" in capsys.readouterr().err


def test_products_are_counted_with_scans_multiplied_out_and_compiled_costs_stand_beside():
    def chain(a, b):
        return jax.lax.scan(lambda carry, _: (carry @ b, None), a, length=3)[0]

    a, b = jnp.ones((4, 8)), jnp.ones((8, 8))
    assert matmul_flops(chain, a, b) == 3 * 2 * 4 * 8 * 8
    assert matmul_flops(chain, a, b, having=5) == 0
    compiled = compile_timed(jax.jit(lambda a, b: a @ b), a, b)
    assert compiled.flops == 2 * 4 * 8 * 8
    assert compiled.argument_bytes == 4 * (4 * 8 + 8 * 8)
    assert compiled.peak_bytes >= compiled.argument_bytes + 4 * 4 * 8
    assert 0 < compiled.lower_seconds < compiled.compile_seconds
    np.testing.assert_array_equal(compiled.program(a, b), a @ b)


def test_a_probe_gets_the_state_of_its_step_in_runs_side_by_side():
    def probe(experiment, data, state):
        return state.step, jnp.sum(state.generator.variables.params["dense_0"]["kernel"])

    experiment = tiny_ring(num_steps=8, eval_every_steps=3)
    states = [programs.start(experiment, seed) for seed in (0, 1)]
    last, (steps, sums) = programs.many_with_probe(experiment, states, probe, 3)
    # Two probes: the last two steps are left out.
    assert (last.step.tolist(), steps.tolist()) == ([6, 6], [[3, 6], [3, 6]])
    np.testing.assert_allclose(sums[:, -1], jax.vmap(lambda state: probe(experiment, (), state)[1])(last), rtol=1e-6)
    assert len(set(sums.ravel().tolist())) == 4


def test_evaluations_are_those_of_the_chunks_that_end_in_one(monkeypatch):
    found = [Chunk(step, {}, evaluation) for step, evaluation in enumerate((None, "first", None, "last"))]
    monkeypatch.setattr(programs, "start", lambda experiment, seed: seed)
    monkeypatch.setattr(programs, "chunks", lambda *arguments: ((None, chunk) for chunk in found))
    assert list(programs.evaluations(None, None, 0)) == [(1, "first"), (3, "last")]


def test_forgetting_compares_each_probe_with_earlier_ones():
    experiment = tiny_ring()
    states = [programs.start(experiment, seed) for seed in range(3)]
    turned = jnp.array([[[1.0, 0.0]], [[0.0, 2.0]], [[0.0, -1.0]]])
    probes = {
        "slopes": {"real": turned, "plane": turned},
        "fakes": jax.random.normal(jax.random.key(0), (3, 64, 2)),
        "discriminator": jax.tree.map(lambda *leaves: jnp.stack(leaves), *(s.discriminator.variables for s in states)),
        "step": jnp.array([50, 100, 150]),
    }
    numbers = forgotten(experiment, states[-1], probes)
    np.testing.assert_array_equal(numbers["cosine_real"], [np.nan, 0.0, -1.0])
    np.testing.assert_array_equal(numbers["reversed_plane"], [np.nan, 0.0, 1.0])
    for lag, age in enumerate((0, 50)):
        shares = [
            jnp.mean(score_at(experiment, state)(fakes) < 0)
            for state, fakes in zip(states[lag:], probes["fakes"][: 3 - lag], strict=True)
        ]
        np.testing.assert_allclose(numbers[f"rejects_{age}"], [np.nan] * lag + shares, atol=1 / 64)
    assert all(np.isnan(numbers[f"rejects_{age}"]).tolist() == [True] * 3 for age in (500, 2000))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_answers_help(name, capsys):
    module = importlib.import_module(f"benchmarks.{name}")
    with pytest.raises(SystemExit) as ended:
        module.make_parser().parse_args(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert module.__doc__.splitlines()[0] in shown
    assert f"python benchmarks/{name}.py" in shown


def test_the_modules_are_found_from_a_script_that_runs_as_a_file(tmp_path):
    """Python then searches the script's folder, not the repository's."""
    code = "import sys; sys.path[0] = sys.argv[1]; import benchmarks.peer; print(benchmarks.peer.__file__)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", code, str(FOLDER)]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.stdout.strip() == str(FOLDER / "peer.py"), ended.stderr
