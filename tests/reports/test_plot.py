"""The figures of gan_jax.plot: what is drawn, where, and what wrong input gets."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pandas
import pytest

from gan_jax.experiment.examples import tiny_ring
from gan_jax.metrics.survival import Onset, kaplan_meier
from gan_jax.reports import plot
from gan_jax.reports.figures import FAKE, REAL
from gan_jax.runs.run import Run, SweepRun
from gan_jax.training.train import train

NOISE = np.random.default_rng(0)


def lines(axes) -> dict:
    return {line.get_label(): line for line in axes.lines}


def data_of(line) -> np.ndarray:
    return np.asarray(line.get_xydata())


# --- Samples ----------------------------------------------------------------------------------------------------------


def test_points_are_drawn_where_they_are():
    real, fake = NOISE.normal(size=(50, 2)), NOISE.normal(size=(40, 2))
    fake[:10] = 100.0
    figure = plot.samples(SimpleNamespace(samples=fake, real=real))
    (axes,) = figure.axes
    drawn = lines(axes)
    assert list(drawn) == ["real", "fake (25% outside)"]
    np.testing.assert_array_equal(data_of(drawn["real"]), real)
    np.testing.assert_array_equal(data_of(drawn["fake (25% outside)"]), fake)
    assert [line.get_color() for line in axes.lines] == [REAL, FAKE]
    # The real points and a margin, however far a fake is.
    margin = 0.2 * np.max(np.ptp(real, axis=0))
    np.testing.assert_allclose(axes.get_xlim(), (real[:, 0].min() - margin, real[:, 0].max() + margin))
    np.testing.assert_allclose(axes.get_ylim(), (real[:, 1].min() - margin, real[:, 1].max() + margin))


def test_an_array_of_points_needs_no_real_ones():
    figure = plot.samples(np.array([[0.0, 1.0, 7.0], [2.0, 3.0, 7.0], [np.nan, 0.0, 7.0]]))
    (axes,) = figure.axes
    (line,) = axes.lines
    np.testing.assert_array_equal(data_of(line)[:2], [[0, 1], [2, 3]])
    np.testing.assert_allclose(axes.get_ylim(), (0.6, 3.4))


def test_each_member_has_a_panel_up_to_sixteen():
    fake = NOISE.normal(size=(20, 30, 2))
    figure = plot.samples(SimpleNamespace(samples=fake, real=fake + 1))
    assert len(figure.axes) == plot.MAX_PANELS == 16
    assert [axes.get_title() for axes in figure.axes][:2] == ["member 0", "member 1"]
    for index, axes in enumerate(figure.axes):
        np.testing.assert_array_equal(data_of(axes.lines[0]), fake[index] + 1)
        np.testing.assert_array_equal(data_of(axes.lines[1]), fake[index])
    shared = plot.samples(SimpleNamespace(samples=fake[:3], real=fake[0]))
    assert [np.array_equal(data_of(axes.lines[0]), fake[0]) for axes in shared.axes] == [True] * 3


def test_images_are_a_grid_beside_the_real_ones():
    fake, real = np.full((9, 4, 4, 1), 1.0), np.full((9, 4, 4, 1), -1.0)
    left, right = plot.samples(SimpleNamespace(samples=fake, real=real)).axes
    assert (left.get_title(), right.get_title()) == ("real", "fake")
    for axes, grey in ((left, 0), (right, 255)):
        pixels = axes.images[0].get_array()
        assert pixels.shape == (14, 14, 3)  # three rows of 4 pixels and two lines
        assert {int(value) for value in np.unique(pixels)} == {grey, 64}
    (alone,) = plot.samples(fake, num=4).axes
    assert alone.images[0].get_array().shape == (9, 9, 3)


def test_images_of_members_are_panels_of_real_and_fake():
    fake, real = np.full((3, 4, 6, 6, 3), 1.0), np.full((3, 4, 6, 6, 3), -1.0)
    figure = plot.samples(SimpleNamespace(samples=fake, real=real))
    assert [axes.get_title() for axes in figure.axes] == [f"member {i}: real, fake" for i in range(3)]
    pixels = figure.axes[0].images[0].get_array()
    assert pixels.shape == (13, 13 + 2 + 13, 3)
    assert (pixels[0, 0, 0], pixels[0, 14, 0], pixels[0, 16, 0]) == (0, 255, 255)
    assert len(plot.samples(fake).axes) == 3


def test_numbers_are_histograms_with_common_bins():
    real, fake = np.linspace(0, 1, 100), np.append(np.linspace(0.5, 2, 99), np.inf)
    (axes,) = plot.samples(SimpleNamespace(samples=fake[:, None], real=real[:, None])).axes
    assert axes.get_legend_handles_labels()[1] == ["real", "fake"]
    first, second = axes.containers
    np.testing.assert_allclose(axes.get_xlim(), (0, 2))
    assert [bar.get_x() for bar in first] == [bar.get_x() for bar in second]
    for bars in (first, second):
        assert sum(bar.get_height() * bar.get_width() for bar in bars) == pytest.approx(1)
    (constant,) = plot.samples(np.full(5, 3.0)).axes
    assert constant.get_xlim() == (2.5, 3.5)
    (broken,) = plot.samples(np.full((5, 1), np.nan)).axes
    assert broken.get_legend_handles_labels()[1] == ["fake (no finite value)"]


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        (np.zeros((4, 2)), {"num": 0}, "num=0: give the number of images"),
        (np.zeros((0, 2)), {}, r"samples of shape \(0, 2\): give at least one"),
        (np.zeros((4, 8, 8, 5)), {}, r"with 1 or 3 channels"),
        (np.zeros((1, 1, 2, 8, 8, 1)), {}, "leading axis of members"),
        (SimpleNamespace(samples=np.zeros((4, 2)), real=np.zeros((4, 3))), {}, "do not belong together"),
        (SimpleNamespace(samples=np.zeros((3, 4, 2)), real=np.zeros((2, 4, 2))), {}, "do not belong together"),
    ],
)
def test_wrong_samples_are_described(source, options, said):
    with pytest.raises(ValueError, match=said):
        plot.samples(source, **options)


# --- Curves -----------------------------------------------------------------------------------------------------------


def test_curves_have_a_panel_a_name():
    metrics = {"step": np.array([10, 20, 30]), "discriminator_loss": np.array([3.0, np.nan, 1.0]), "label": ["a"] * 3}
    figure = plot.curves(SimpleNamespace(metrics=metrics))
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "discriminator loss"
    assert axes.get_xlabel() == "step"
    np.testing.assert_array_equal(data_of(axes.lines[0]), [[10, 3], [30, 1]])
    assert not axes.collections
    figure = plot.curves({"b": [1.0, 2.0], "a": [3.0, 4.0]}, ["a", "b"], steps=[5, 6])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b"]
    np.testing.assert_array_equal(data_of(figure.axes[0].lines[0]), [[5, 3], [6, 4]])


def test_members_are_a_median_and_a_band():
    values = np.arange(11.0)[:, None] + np.array([0.0, 100.0])
    (axes,) = plot.curves({"loss": values}).axes
    np.testing.assert_allclose(data_of(axes.lines[0]), [[1, 5], [2, 105]])
    (band,) = axes.collections
    heights = {round(float(y), 6) for path in band.get_paths() for _, y in path.vertices}
    assert heights == {1.0, 9.0, 101.0, 109.0}


def test_a_frame_is_a_mapping():
    (axes,) = plot.curves(pandas.DataFrame({"step": [2, 4], "modes": [1, 8], "label": ["a", "b"]})).axes
    np.testing.assert_array_equal(data_of(axes.lines[0]), [[2, 1], [4, 8]])


def test_a_name_is_no_formula():
    (axes,) = plot.curves({r"$\lr$": [1.0, 2.0]}).axes
    axes.figure.savefig("/dev/null", format="png")
    assert axes.get_title(loc="left") == r"\$\lr\$"


@pytest.mark.parametrize(
    ("metrics", "options", "said"),
    [
        ({"loss": [1.0]}, {"names": ["los"]}, "no metric 'los': there are loss"),
        ({"note": ["a"]}, {}, "no metric to draw: there are none with numbers"),
        ({"loss": [1.0, 2.0]}, {"steps": [1]}, r"steps of shape \(1,\) for 'loss'"),
        ({"loss": [1.0, 2.0], "step": [5, 1]}, {}, "steps descend"),
    ],
)
def test_wrong_metrics_are_described(metrics, options, said):
    with pytest.raises(ValueError, match=said):
        plot.curves(metrics, **options)


# --- Landscape --------------------------------------------------------------------------------------------------------


def test_a_landscape_is_of_its_box():
    asked = []

    def score(points):
        asked.append(points)
        return (points[:, 0] + 10 * points[:, 1])[:, None]

    real, fake = np.array([[0.0, 1.0]]), np.array([[0.5, 1.5], [9.0, 0.0]])
    figure = plot.landscape(score, (-1, 0), (1, 2), real=real, fake=fake, num=5)
    axes, bar = figure.axes
    assert asked[0].shape == (25, 2)
    np.testing.assert_allclose(asked[0][:6], [[-1, 0], [-0.5, 0], [0, 0], [0.5, 0], [1, 0], [-1, 0.5]])
    assert (axes.get_xlim(), axes.get_ylim()) == ((-1, 1), (0, 2))
    assert bar.get_ylabel() == "score"
    drawn = lines(axes)
    assert list(drawn) == ["real", "fake (50% outside)"]
    np.testing.assert_array_equal(data_of(drawn["real"]), real)
    # An array is the same as the function that it is of: the second coordinate goes up with the rows.
    grid = score(asked[0]).reshape(5, 5)
    other = plot.landscape(grid, (-1, 0), (1, 2)).axes[0]
    for one, same in zip(axes.collections, other.collections, strict=True):
        for left, right in zip(one.get_paths(), same.get_paths(), strict=True):
            np.testing.assert_allclose(left.vertices, right.vertices, atol=1e-5)


def test_a_flat_landscape_and_one_with_holes_are_drawn():
    plot.landscape(np.full((4, 4), 2.0), 0, 1)
    holes = np.arange(16.0).reshape(4, 4)
    holes[0, 0] = np.nan
    plot.landscape(holes, 0, 1)
    with pytest.raises(ValueError, match="no score is finite"):
        plot.landscape(np.full((4, 4), np.nan), 0, 1)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((np.zeros((4, 4)), 1, 0), {}, "the box from"),
        ((np.zeros(4), 0, 1), {}, r"scores of shape \(4,\)"),
        ((lambda points: points, 0, 1), {}, r"gave shape \(4225, 2\)"),
        ((lambda points: points, 0, 1), {"num": 1}, "num=1"),
        ((np.zeros((4, 4)), 0, 1), {"fake": np.zeros(3)}, r"fake points of shape \(3,\)"),
    ],
)
def test_a_wrong_landscape_is_described(arguments, options, said):
    with pytest.raises(ValueError, match=said):
        plot.landscape(*arguments, **options)


# --- Survival ---------------------------------------------------------------------------------------------------------


def test_survival_is_kaplan_meiers_by_group():
    times, observed = np.array([5, 10, 10, 20, 8, 30]), np.array([True, True, False, False, True, False])
    groups = ["$a$", "$a$", "$a$", "$a$", "_b", "_b"]
    (axes,) = plot.survival(times, observed, groups).axes
    first, ticks, second, _ = axes.lines
    curve = kaplan_meier([Onset(5, "collapse"), Onset(10, "collapse"), Onset(10, None), Onset(20, None)])
    np.testing.assert_allclose(data_of(first), np.stack([curve.times, curve.survival], axis=1))
    np.testing.assert_allclose(data_of(ticks), [[10, 0.5], [20, 0.5]])  # the run censored at a failure has a tick too
    np.testing.assert_allclose(second.get_xdata(), [0, 8, 30])
    assert axes.get_legend_handles_labels()[1] == [r"\$a\$ (2 of 4 failed)", " _b (1 of 2 failed)"]
    assert axes.get_ylim() == (-0.03, 1.03)
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] >= 30
    assert len(axes.collections) == 2
    assert plot.survival(times, observed).axes[0].get_legend_handles_labels()[1] == ["all runs (3 of 6 failed)"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1, 2], [True]), "give arrays .n. of one length"),
        (([1, 2], [True, False], ["a"]), "and 1 groups"),
        (([], []), "no onsets"),
        (([-1.0], [True]), "onset=-1.0: give a finite number"),
    ],
)
def test_wrong_survival_is_described(arguments, said):
    with pytest.raises(ValueError, match=said):
        plot.survival(*arguments)


def test_nothing_touches_pyplot():
    before = "matplotlib.pyplot" in sys.modules
    plot.samples(np.zeros((4, 2))).savefig("/dev/null", format="png")
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_results_under_two_vmaps_have_a_panel_and_a_curve_a_run():
    experiment = tiny_ring(num_steps=2, eval_every_steps=1)
    shapes = jax.eval_shape(train, experiment, (), jax.random.key(0))
    one = jax.tree.map(
        lambda leaf: jax.random.key(0) if leaf.dtype == jax.random.key(0).dtype else np.zeros(leaf.shape, leaf.dtype),
        shapes,
    )
    stacked = {
        name: jax.tree.map(lambda leaf: np.stack([np.stack([leaf] * 3)] * 2), getattr(one, name))
        for name in ("metrics", "verdict", "samples", "real")
    }
    result = one._replace(**stacked)
    assert len(plot.samples(result).axes) == 6
    band = plot.curves(result, ["generator_loss"]).axes[0]
    assert band.lines[0].get_xdata().tolist() == [1.0, 2.0]
    assert band.collections
    label = plot.survival(result).axes[0].get_legend_handles_labels()[1]
    assert label == ["all runs (6 of 6 failed)"]  # zeros are an onset at step 0 of each of the six
    with pytest.raises(ValueError, match="arrays of times and of `observed`"):
        plot.survival([1, 2])


def test_a_stored_run_is_drawn(tmp_path):
    former = Path(__file__).parents[1] / "runs" / "former"
    run = Run(former / "run")
    axes = plot.samples(run).axes[0]
    assert [len(line.get_xdata()) for line in axes.lines] == [512, 512]
    assert plot.curves(run, ["running/modes"]).axes[0].lines[0].get_xdata().tolist() == [50, 100, 150, 200]
    legend = plot.survival(SweepRun(former / "sweep")).axes[0].get_legend_handles_labels()[1]
    assert len(legend) == 2
    assert all("(0 of 2 failed)" in label for label in legend)
