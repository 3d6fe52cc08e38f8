"""The command line: wrong inputs get a line or two, exit code 2 and no traceback; right ones do what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from gan_jax.cli.main import main
from gan_jax.cli.parser import UsageError, split_overrides
from gan_jax.data.idx import write_idx
from gan_jax.experiment.configs import config_names, load
from gan_jax.experiment.records import read_component
from gan_jax.experiment.settings import to_json

RING = ["--num-steps", "4", "--eval-every-steps", "2", "--detector.num-samples", "64", "--batch-size", "16", "--quiet"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAN_JAX_DATA", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return tmp_path


def letters(folder, num=40, size=28):
    """A small data set of IDX files under its own name."""
    rng = np.random.default_rng(0)
    path = folder / "letters"
    path.mkdir()
    for split, count in (("train", num), ("t10k", 20)):
        write_idx(path / f"{split}-images-idx3-ubyte", rng.integers(0, 256, (count, size, size), dtype=np.uint8))
        write_idx(path / f"{split}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    return path


def truncated(folder):
    path = letters(folder) / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1000])
    return path.parent


def wrong_magic(folder):
    path = letters(folder) / "train-images-idx3-ubyte"
    path.write_bytes(b"\x89PNG" + path.read_bytes()[4:])
    return path.parent


def other_run(folder):
    assert main(["train", "ring", "--run-dir", "taken", *RING]) == 0
    return []


def foreign_folder(folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("years of work")
    return []


def broken_config(folder):
    (folder / "broken.py").write_text("def experiment(:\n")
    return []


def empty_config(folder):
    (folder / "empty.py").write_text("x = 1\n")
    return []


def misspelt_config(folder):
    (folder / "misspelt.py").write_text("from gan_jax.data.mixtures import Ring\ndef experiment():\n    Ring(sdt=1)\n")
    return []


SMALL = ["train", "label_noise_mnist_small", "--data.name", "letters", "--quiet"]

WRONG = [
    ("unknown config", ["train", "rnig"], "did you mean 'ring'", None),
    ("unknown command", ["trian", "ring"], "invalid choice: 'trian'", None),
    ("no config", ["train"], "train needs a config: a Python file, or one of", None),
    ("missing config file", ["train", "no/such.py"], "no config file no/such.py", None),
    ("config that is not Python", ["train", "broken.py"], "cannot be imported: SyntaxError", broken_config),
    ("config without experiment", ["train", "empty.py"], "does not define experiment()", empty_config),
    ("misspelt field in a config", ["train", "misspelt.py"], "no setting 'sdt'; did you mean 'std'", misspelt_config),
    ("misspelt field", ["train", "ring", "--batch-sise", "3"], "did you mean 'batch_size'", None),
    ("wrong type", ["train", "ring", "--batch-size", "many"], "batch_size is 'many', and must be a whole number", None),
    ("negative rate", ["train", "ring", "--discriminator.learning-rate", "-1"], "must be above 0", None),
    (
        "rate above 1",
        [*SMALL, "--discriminator.transforms", "exact-flips", "--discriminator.transforms.0.rate", "1.5"],
        "ExactFlips.rate is 1.5, and must be at most 1",
        None,
    ),
    ("zero steps", ["train", "ring", "--num-steps", "0"], "num_steps is 0, and must be at least 1", None),
    ("unknown objective", ["train", "ring", "--objective", "hinj"], "NonSaturating, Minimax", None),
    ("option without a value", ["train", "ring", "--data.std"], "--data.std needs a value", None),
    ("seed that is no number", ["train", "ring", "--seed", "x"], "--seed", None),
    ("data for a mixture", ["train", "ring", "--data", "."], "leave out --data", None),
    ("epochs of a mixture", ["train", "ring", "--num-epochs", "3"], "has no epochs: use --num-steps", None),
    ("missing data", ["train", "label_noise_mnist_small", "--quiet"], "gan-jax data prepare mnist", None),
    ("missing data folder", ["train", "label_noise_mnist_small", "--data", "nowhere"], "nowhere does not exist", None),
    ("truncated IDX", lambda f: [*SMALL, "--data", str(truncated(f))], "train-images-idx3-ubyte", None),
    ("wrong magic", lambda f: [*SMALL, "--data", str(wrong_magic(f))], "train-images-idx3-ubyte", None),
    ("a size that no DCGAN has", [*SMALL, "--data.image-size", "29"], "image_size is 29", None),
    ("DCGAN on points", ["train", "ring", "--generator.network", "dcgan-generator"], "use an MLP", None),
    ("batch larger than the data", lambda f: [*SMALL, "--data", str(letters(f))], "more than the 40 training", None),
    (
        "folder of another run",
        ["train", "ring", "--run-dir", "taken", "--data.std", "0.5", *RING],
        "holds a run of another experiment (data.std",
        other_run,
    ),
    (
        "folder of the same run",
        ["train", "ring", "--run-dir", "taken", *RING],
        "continue it with --resume taken",
        other_run,
    ),
    (
        "folder of something else",
        ["train", "ring", "--run-dir", "mine", *RING],
        "is not a run of gan-jax",
        foreign_folder,
    ),
    ("unwritable folder", ["train", "ring", "--run-dir", "/proc/nothing/run", *RING], "cannot be written", None),
    ("resume of nothing", ["train", "--resume", "nothing"], "is not a run folder", None),
    ("evaluate of nothing", ["evaluate", "nothing"], "is not a run folder", None),
    ("report of nothing", ["report", "nothing"], "is not a run folder", None),
    ("resume and branch", ["train", "--resume", "a", "--branch-from", "b"], "give only one of them", None),
    ("branch of no step", ["train", "--branch-from", "a@last"], "'last' is not a step", None),
    ("element of a tuple", ["train", "ring", "--generator.network.widths.0", "wide"], "must be", None),
    (
        "schedule by name",
        ["train", "ring", "--generator.average-decay", "linear"],
        "which only a config file can give",
        None,
    ),
    ("seed too large", ["train", "ring", "--seed", "99999999999999999999"], "must be at most 4,294,967,295", None),
    ("endless epochs", [*SMALL, "--num-epochs", "inf"], "--num-epochs is inf", None),
    ("epochs and steps", [*SMALL, "--num-epochs", "1", "--num-steps", "5"], "give only one of them", None),
    ("picture nowhere", ["data", "show", "digits", "--out", "/nonexistent/x.png"], "/nonexistent/x.png", None),
    ("prepare digits", ["data", "prepare", "digits"], "nothing to prepare", None),
    ("negative pictures", ["train", "ring", "--pictures", "-1"], "--pictures is -1", None),
    ("unknown data set", ["data", "show", "letters"], "letters", None),
    ("prepare without network", ["data", "prepare", "letters"], "letters", None),
]


@pytest.mark.parametrize(("arguments", "words", "setup"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_wrong_inputs(folder, capsys, arguments, words, setup):
    if setup is not None:
        setup(folder)
        capsys.readouterr()
    code = main(arguments(folder) if callable(arguments) else arguments)
    captured = capsys.readouterr()
    assert code == 2
    assert words in captured.err
    assert 1 <= len(captured.err.strip().splitlines()) <= 2
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_train_evaluate_and_report(folder, capsys):
    assert main(["train", "ring", *RING]) == 0
    line = capsys.readouterr().out.strip()
    assert "runs/ring-seed0" in line
    assert "ceiling 98.9%" in line
    run = folder / "runs" / "ring-seed0"
    rows = [json.loads(r) for r in (run / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [2, 4]
    assert rows[0]["rule"] == "l2<=3std; count>=0.1*n*weight; n=64"
    assert len(list((run / "samples").glob("*.png"))) == 2
    record = json.loads((run / "experiment.json").read_text())
    assert read_component(record["experiment"]).num_steps == 4
    assert {"python", "jax", "flax", "optax"} <= record["environment"]["versions"].keys()

    assert main(["evaluate", str(run), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    # The same bank of latents gives the numbers of the log.
    logged = rows[-1]["evaluation"]["running"]
    assert result["metrics"]["G, running statistics"]["counts"] == logged["counts"]
    assert main(["evaluate", str(run), "--num-samples", "100", "--seed", "3"]) == 0
    assert "n=100" in capsys.readouterr().out

    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "never formed" in page
    assert "data:image/png;base64" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_without_a_seed_it_is_0_and_written_down(folder):
    for name in ("a", "b"):
        assert main(["train", "ring", "--run-dir", name, *RING]) == 0
    records = [json.loads((folder / name / "experiment.json").read_text()) for name in ("a", "b")]
    assert [record["seed"] for record in records] == [0, 0]
    rows = [json.loads((folder / name / "metrics.jsonl").read_text().splitlines()[-1]) for name in ("a", "b")]
    assert rows[0]["train"] == rows[1]["train"]


def test_json_verdict_is_for_scripts(folder, capsys):
    assert main(["train", "ring", "--json", *RING]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["outcome"] == "never formed"
    assert verdict["bounds"]["high_quality"]["ceiling"] == pytest.approx(0.9889, abs=1e-4)


def test_an_idx_directory_of_any_name_trains_without_a_classifier(folder, capsys):
    path = letters(folder)
    small = ["--generator.network.width", "2", "--discriminator.network.width", "2", "--batch-size", "16"]
    small += ["--detector.num-samples", "64", "--data.image-size", "16", "--eval-every-steps", "2"]
    arguments = ["train", "label_noise_mnist_small", "--data.name", "letters", "--data", str(path), *small]
    assert main([*arguments, "--num-steps", "4", "--quiet", "--run-dir", "run"]) == 0
    definition = json.loads((folder / "run" / "verdict.json").read_text())["definition"]
    assert definition["classifier"] is None


def test_help_lists_the_settings_of_a_config(capsys):
    assert main(["train", "ring", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--discriminator.learning-rate" in out
    assert "standard deviation of each mode" in out
    assert main(["train", "--help"]) == 0
    assert all(name in capsys.readouterr().out for name in ["ring"])


def test_overrides_are_told_from_options():
    known = {"--seed": True, "--json": False}
    own, settings = split_overrides(["ring", "--seed", "3", "--data.std=0.1", "--json", "--a.b", "-1"], known)
    assert own == ["ring", "--seed", "3", "--json"]
    assert settings == [("data.std", "0.1"), ("a.b", "-1")]
    with pytest.raises(UsageError):
        split_overrides(["--a.b", "--json"], known)


@pytest.mark.parametrize("name", config_names())
def test_shipped_configs_make_experiments_and_say_what_they_claim(name):
    experiment = load(name)
    assert read_component(to_json(experiment)) == experiment
    import gan_jax.experiment.configs as configs

    docstring = configs.load_code(name).module.__doc__
    for part in ("Claim", "Command", "Cost", "Figure"):
        assert f"{part}:" in docstring, part


def test_importing_the_command_line_is_fast_and_does_not_import_tensorflow():
    code = (
        "import sys, gan_jax.cli; from gan_jax.cli.arguments import build_parser as build; build(); "
        "assert 'jax' not in sys.modules; print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.strip() == "ok"


def test_remedies_follow_the_config(folder, capsys):
    assert main(["train", "ring+r1+replay_fifo", *RING]) == 0
    assert (folder / "runs" / "ring+r1+replay_fifo-seed0" / "verdict.json").is_file()
    both = load("ring+r1+replay_fifo").discriminator
    assert [type(p).__name__ for p in both.penalties] == ["R1"]
    assert type(both.replay).__name__ == "FIFO"
    capsys.readouterr()
    for config, problem in (
        ("ring+packing2", "no remedy 'packing2'; did you mean 'packing_2'"),
        ("rings+r1", "no config 'rings'; did you mean 'ring'"),
        ("bilinear+feature_matching", "LinearDiscriminator has none"),
        ("ring+ebgan+label_noise", "no labels to flip"),
    ):
        assert main(["train", config, "--quiet"]) == 2
        said = capsys.readouterr().err.strip()
        assert problem in said
        assert "\n" not in said


def test_truncated_latents_are_fresh_ones(folder, capsys):
    assert main(["train", "ring", *RING]) == 0
    assert main(["evaluate", "runs/ring-seed0", "--truncation", "0.5"]) == 0
    assert "fresh, seed 0, truncated at 0.5" in capsys.readouterr().out
    assert main(["evaluate", "runs/ring-seed0", "--truncation", "0"]) == 2
    assert "--truncation is 0.0, and must be above 0" in capsys.readouterr().err
