"""Config files: modules beside them, encodings, plus signs in paths, and whatever they raise in one line."""

from __future__ import annotations

import os
import signal
import sys

import pytest

import gan_jax as gj
from gan_jax.cli.main import main
from gan_jax.experiment.config_code import ConfigError, execute, source_files
from gan_jax.experiment.configs import config_summary, load, load_sweep, split_remedies
from gan_jax.experiment.examples import tiny_ring

START = "from gan_jax.experiment.examples import tiny_ring\n"
PLAIN = START + "def experiment():\n    return tiny_ring(batch_size=SIZE)\n"


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("from helpers import SIZE\n", {"helpers.py": "SIZE = 16\n"}),
        (
            "import helpers as h\nSIZE = h.SIZE\n",
            {"helpers.py": "from deeper import SIZE\n", "deeper.py": "SIZE = 16\n"},
        ),
        ("import kit.parts\nSIZE = kit.parts.SIZE\n", {"kit/__init__.py": "", "kit/parts.py": "SIZE = 16\n"}),
        ("from kit import SIZE\n", {"kit/__init__.py": "from .parts import SIZE\n", "kit/parts.py": "SIZE = 16\n"}),
        ("from kit.parts import SIZE\n", {"kit/parts.py": "SIZE = 16\n"}),
    ],
)
def test_a_config_imports_modules_beside_it(tmp_path, line, files, monkeypatch):
    for name, text in files.items():
        (tmp_path / "there" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "there" / name).write_text(text)
    config = tmp_path / "there" / "mine.py"
    config.write_text(line + PLAIN)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    assert load("there/mine.py").batch_size == 16
    assert set(source_files(config)) == {"mine.py", *files}
    assert sys.path == path
    assert not list((tmp_path / "there").rglob("__pycache__"))


def test_a_function_may_import_when_it_is_called(tmp_path):
    (tmp_path / "late.py").write_text("SIZE = 8\n")
    (tmp_path / "mine.py").write_text(
        START + "def experiment():\n    import late\n    return tiny_ring(batch_size=late.SIZE)\n"
    )
    assert load(str(tmp_path / "mine.py")).batch_size == 8
    (tmp_path / "late.py").write_text("SIZE = 4\n")
    assert load(str(tmp_path / "mine.py")).batch_size == 4


def test_two_configs_have_each_their_own_helpers(tmp_path):
    for size in (8, 16):
        (tmp_path / str(size)).mkdir()
        (tmp_path / str(size) / "helpers.py").write_text(f"SIZE = {size}\n")
        (tmp_path / str(size) / "mine.py").write_text("from helpers import SIZE\n" + PLAIN)
    assert [load(str(tmp_path / str(size) / "mine.py")).batch_size for size in (8, 16, 8)] == [8, 16, 8]


def test_installed_packages_are_not_taken_for_modules_beside(tmp_path):
    (tmp_path / "numpy.py").write_text("raise RuntimeError\n")
    (tmp_path / "mine.py").write_text("import numpy\nSIZE = int(numpy.int32(16))\n" + PLAIN)
    assert load(str(tmp_path / "mine.py")).batch_size == 16
    assert set(source_files(tmp_path / "mine.py")) == {"mine.py"}


def test_a_config_is_executed_once_for_each_content(tmp_path):
    config = tmp_path / "mine.py"
    config.write_text("SIZE = 16\n" + PLAIN)
    first = execute(config)
    assert execute(config).module is first.module
    config.write_text("SIZE = 32\n" + PLAIN)
    assert load(str(config)).batch_size == 32


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ("# -*- coding: latin-1 -*-\n", "latin-1"),
        ("\ufeff", "utf-8"),
        ("#!/usr/bin/env python\n# note\n", "utf-8"),
        ("", "utf-8"),
    ],
)
def test_encodings_of_a_config(tmp_path, head, encoding, capsys):
    config = tmp_path / "mine.py"
    config.write_bytes((head + '"""Bébé à 2 €."""\n'.replace("€", "e") + "SIZE = 16\n" + PLAIN).encode(encoding))
    assert config_summary(str(config)) == "Bébé à 2 e."
    assert load(str(config)).batch_size == 16
    assert main(["train", str(config), "--help"]) == 0
    assert "Bébé" in capsys.readouterr().out


@pytest.mark.parametrize("folder", ["c++", "a+b", "+", "x+.py+y"])
@pytest.mark.parametrize("name", ["mine.py", "mine+more.py"])
def test_a_plus_in_a_path_is_no_remedy(tmp_path, folder, name):
    config = tmp_path / folder / name
    config.parent.mkdir()
    config.write_text("SIZE = 16\n" + PLAIN)
    assert split_remedies(str(config)) == (str(config), [])
    assert split_remedies(f"{config}+r1+r2") == (str(config), ["r1", "r2"])
    assert len(load(f"{config}+r1").discriminator.penalties) == 1


def test_a_missing_config_in_such_a_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no config file .*c\+\+/none\.py: give"):
        load(str(tmp_path / "c++" / "none.py+r1"))


# --- What a config raises ---------------------------------------------------------------------------------------------

RAISED = {
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise KeyboardInterrupt('now')": "KeyboardInterrupt: now",
    "import sys; sys.exit()": "SystemExit",
    "import sys; sys.exit('no data')": "SystemExit: no data",
    "raise SystemExit(0)": "SystemExit: 0",
    "exit(3)": "SystemExit: 3",
    "1 / 0": "ZeroDivisionError: division by zero",
    "raise RuntimeError('two\\nlines')": "RuntimeError: two lines",
    "raise GeneratorExit": "GeneratorExit",
    "tiny_ring().no_such": "AttributeError: 'Experiment' object has no attribute 'no_such'",
    "{}['a']": "KeyError: 'a'",
    "assert False, 'never'": "AssertionError: never",
    "open('/no/such/file')": "FileNotFoundError: [Errno 2] No such file or directory: '/no/such/file'",
    "def f(): f()\n    f()": "RecursionError: maximum recursion depth exceeded",
}


@pytest.mark.parametrize("line", RAISED)
@pytest.mark.parametrize("where", ["import", "experiment", "sweep", "beside"])
def test_what_a_config_raises_is_one_line_with_its_own(tmp_path, line, where, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    body = f"def fails():\n    {line}\n"
    text = {
        "import": START + body + "fails()\n",
        "experiment": START + body + "def experiment():\n    fails()\n",
        "sweep": START + body + "def experiment():\n    return tiny_ring()\ndef sweep():\n    fails()\n",
        "beside": START + "from helpers import fails\ndef experiment():\n    fails()\n",
    }[where]
    (tmp_path / "mine.py").write_text(text)
    (tmp_path / "helpers.py").write_text(START + body)
    assert main(["sweep" if where == "sweep" else "train", "mine.py", "--quiet"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert RAISED[line] in told
    assert f"line 3{' of helpers.py' if where == 'beside' else ''}: " in told or "Recursion" in told
    assert line.split("\n")[0][:60] in told or "Recursion" in told
    assert "Traceback" not in told
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_while_a_config_runs_is_an_interruption(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        f"import os\nos.kill({os.getpid()}, {int(signal.SIGINT)})\nx = [i for i in range(9)]\n"
    )
    assert main(["train", str(tmp_path / "mine.py")]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_config_that_failed_is_executed_again(tmp_path):
    (tmp_path / "helpers.py").write_text("SIZE = 1 / 0\n")
    (tmp_path / "mine.py").write_text("from helpers import SIZE\n" + PLAIN)
    with pytest.raises(ConfigError, match=r"ZeroDivisionError.*line 1 of helpers\.py: SIZE = 1 / 0"):
        load(str(tmp_path / "mine.py"))
    (tmp_path / "helpers.py").write_text("SIZE = 16\n")
    assert load(str(tmp_path / "mine.py")).batch_size == 16
    assert load_sweep(str(tmp_path / "mine.py")) is None


@pytest.mark.parametrize(
    "line",
    [
        "from gan_jax.component import component, setting",
        "from gan_jax.experiment import Discriminator, Experiment, Generator, Unroll",
        "from gan_jax.lab.configs import load_config, load_sweep",
        "from gan_jax.objectives import Criterion, Hinge",
        "from gan_jax.penalties import R1, View",
        "from gan_jax.sweep import Arm, Sweep, grid, variations",
        "from gan_jax.testing import tiny_ring",
        "from gan_jax.transforms import ExactFlips, chain",
    ],
)
def test_a_config_may_import_modules_by_the_names_of_the_first_version(tmp_path, line):
    file = tmp_path / "former.py"
    file.write_text(f"{line}\nimport gan_jax as gj\nfrom gan_jax.testing import tiny_ring as experiment\n")
    made = load(str(file))
    assert made.batch_size == tiny_ring().batch_size
    assert callable(gj.component)  # a module of that name has not taken its place


def test_a_former_module_has_no_more_than_it_had(tmp_path):
    file = tmp_path / "former.py"
    file.write_text("from gan_jax.testing import nothing\n")
    with pytest.raises(ConfigError, match="cannot import name 'nothing'"):
        load(str(file))
