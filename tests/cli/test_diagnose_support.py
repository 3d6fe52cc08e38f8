"""gan-jax diagnose support: the command on runs."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from gan_jax.cli.main import main
from gan_jax.data.images import Images
from gan_jax.reports.diagnosis_support import figure, table

SHORT = ["--num-steps", "2", "--eval-every-steps", "1", "--quiet"]


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    path = tmp_path_factory.mktemp("support") / "ring"
    small = ["--generator.network.widths", "16,16", "--discriminator.network.widths", "16,16"]
    assert main(["train", "ring", "--run-dir", str(path), *SHORT, *small]) == 0
    return path


def test_the_command(ring, tmp_path, capsys):
    plot = tmp_path / "support.png"
    assert main(["diagnose", "support", str(ring), "--samples", "1000", "--plot", str(plot)]) == 0
    said = capsys.readouterr().out
    assert "At step 2 G makes" in said
    assert plot.stat().st_size > 5000
    result = json.loads((ring / "diagnosis" / "support.json").read_text())
    assert [row["step"] for row in result["rows"]] == [1, 2]
    assert result["num_samples"] == 1024  # whole batches of 128
    assert result["pictures"] == {}
    assert result["spaces"].keys() == {"data"}
    assert len(table(result).splitlines()) >= 7
    figure(result)


def test_the_command_on_images(tmp_path, capsys):
    path = tmp_path / "digits"
    small = ["--generator.network.width", "4", "--discriminator.network.width", "4", "--detector.num-samples", "64"]
    assert main(["train", "digits", "--run-dir", str(path), *SHORT, *small]) == 0
    assert main(["diagnose", "support", str(path), "--samples", "192"]) == 0
    assert "in features" in capsys.readouterr().out
    result = json.loads((path / "diagnosis" / "support.json").read_text())
    assert [row["step"] for row in result["rows"]] == [2]
    assert result["spaces"].keys() == result["pictures"].keys() == {"pixels", "features"}
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(result["pictures"]["pixels"]["nearest"]))))
    assert picture.shape == (2 * 17 - 1, 8 * 17 - 1)
    # Below each fake is a training example, as it is.
    train = np.asarray(Images(name="digits", image_size=16).load().images[..., 0])
    for column in range(8):
        shown = picture[17:33, 17 * column : 17 * column + 16]
        assert np.any(np.all(train == shown, axis=(1, 2)))
    figure(result)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--samples", "5"], "--samples is 5, and must be between 100 and 100,000"),
        (["--samples", "many"], "many"),
        (["--step", "7"], "no checkpoint of step 7: give --step one of 1, 2"),
    ],
)
def test_wrong_inputs(ring, capsys, arguments, said):
    assert main(["diagnose", "support", str(ring), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
