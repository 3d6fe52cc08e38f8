"""A run on colour images in a layout other than IDX, through the commands that a user gives."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

from gan_jax.cli.main import main
from tests.data.made_sets import images, labels, write_pictures

SMALL = [
    *("--generator.network", "MLPGenerator", "--generator.network.widths", "8", "--generator.network.output", "tanh"),
    *("--discriminator.network", "MLPDiscriminator", "--discriminator.network.widths", "8"),
    *("--batch-size", "16", "--detector.num-samples", "64", "--data.image-size", "16", "--eval-every-steps", "2"),
]


def test_train_report_evaluate_and_sample_in_colour(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "Scans", images(60, channels=3), labels(60, 3))
    chosen = ["train", "digits", "--data.name", "scans", "--data", str(tmp_path), *SMALL, "--num-steps", "4", "--quiet"]
    assert main([*chosen, "--run-dir", "grey"]) == 2
    assert "set --data.channels 3" in capsys.readouterr().err
    assert not (tmp_path / "grey").exists()
    assert main([*chosen, "--data.channels", "3", "--run-dir", "run"]) == 0
    out, err = capsys.readouterr()
    assert "pixels only: no validated classifier" in out
    assert "a collapse to one picture is seen, and one to a few classes is not" in err
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["definition"]["classifier"] is None
    assert main(["report", "run"]) == 0
    assert "one to a few classes is not." in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert main(["evaluate", "run", "--json"]) == 0
    assert main(["sample", "run", "--out", "grid.png", "--num", "16"]) == 0
    for picture in (tmp_path / "grid.png", *(tmp_path / "run" / "samples").glob("*.png")):
        pixels = np.asarray(Image.open(picture))
        assert pixels.shape[-1] == 3
        assert np.any(pixels[..., 0] != pixels[..., 1])


def test_data_list_and_show_in_colour(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "data" / "Scans", images(60, channels=3), labels(60, 3))
    assert main(["data", "list", "--data", "data"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("scans"))
    assert row.split() == ["scans", "pictures", "by", "class", "60", "-", "8x8x3", "3", "data/Scans"]
    assert main(["data", "show", "scans", "--data", "data"]) == 0
    pixels = np.asarray(Image.open(tmp_path / "scans.png"))
    assert np.any(pixels[..., 0] != pixels[..., 1])
    assert main(["data", "list", "--data", "absent"]) == 2
    assert "--data absent does not exist" in capsys.readouterr().err
