"""What is wrong on a command line is refused in a line or two, with nothing left behind."""

from __future__ import annotations

import pytest

from gan_jax.cli.option_types import NewFile, Number, Several, Whole, path, seeds
from gan_jax.runs.branching import split_step
from tests.cli.wrong_inputs import Answer, all_parsers, answer, table, wrong_inputs
from tests.reports.made_folders import end, make_run, train
from tests.runs.own_runs import own_sweep


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("GAN_JAX_DATA", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    run = make_run(tmp_path / "run")
    train(run)
    end(run)
    return tmp_path


@pytest.mark.parametrize(("num", "seed"), [(30, 0), (200, 1), (400, 2)])
def test_wrong_inputs_by_chance(folder, num, seed):
    found = {tuple(arguments): answer(arguments, folder) for arguments in wrong_inputs(num, seed)}
    assert len(found) == num
    assert not any(of.fault() for of in found.values()), table(found)


def test_the_generator_reaches_every_command_and_kind_of_option():
    inputs = wrong_inputs(4000, 3)
    commands = all_parsers()
    for words in commands:
        assert sum(tuple(arguments[: len(words)]) == words for arguments in inputs) >= 3, words
    kinds = {type(action.type) for parser in commands.values() for action in parser._actions if action.type}
    assert kinds == {type(kind) for kind in (Whole(), Number(), Several(str), NewFile(), path, seeds)}
    words = {word.partition("=")[0] for arguments in inputs for word in arguments}
    for parser in commands.values():
        for action in parser._actions:
            if action.type is not None and action.option_strings:
                assert action.option_strings[0] in words


def test_the_generator_can_find_a_fault():
    assert Answer(1, "gan-jax: no", ()).fault() == "exit code 1"
    assert Answer("KeyError: 3", "", ()).fault() == "exit code KeyError: 3"
    assert Answer(2, "", ()).fault() == "0 lines"
    assert Answer(2, "a\nb\nc", ()).fault() == "3 lines"
    assert Answer(2, "gan-jax: no", ("runs",)).fault() == "left runs"
    assert "1 not refused" in table({("train",): Answer(2, "", ()), ("x",): Answer(2, "gan-jax: no", ())})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "run", "--num-sample", "5"], "no option --num-sample; did you mean --num-samples?"),
        (["report", "run", "--base", "x"], "no option --base; did you mean --baseline?"),
        (["train", "ring", "--qiet"], "did you mean --quiet?"),
        (["evaluate", "run", "--truncation=-inf"], "--truncation is -inf, and must be a finite number"),
        (["watch", "run", "--every", "nan"], "--every is nan, and must be a finite number"),
        (["train", "ring", "--branch-points=-1"], "--branch-points is -1, and must be at least 0"),
        (["evaluate", "run", "--seed", "36893488147419103232"], "--seed is 36893488147419103232, and must be at most"),
        (["sweep", "ring", "--seeds", "0-3,5-"], "--seeds is '0-3,5-', and must be a count, seeds or ranges"),
        (["sweep", "ring", "--seeds", "0-4000000000"], "these are 4,000,000,001 seeds, and a sweep takes 1 to 100,000"),
        (
            ["sweep", "ring", "--grid", "data.std", "1,,2"],
            "--grid data.std is '1,,2', and must be values separated by commas",
        ),
        (
            ["sweep", "ring", "--grid", "data.std", "1,2", "--data.std", "1"],
            "data.std is set twice: give it once, either as --data.std for all arms or as --grid data.std",
        ),
        (["sweep", "ring", *["--grid", "data.std", ",".join(map(str, range(1, 10_002)))]], "10,001 arms, more than"),
        (["diagnose", "game", "run", "--plot", "x.jpg"], "--plot is x.jpg, and must end in .png or .svg or .pdf"),
        (
            ["sample", "run", "--out", "~nobody_at_all/x.npz"],
            "is in the home folder ~nobody_at_all, which is not known",
        ),
        (["data", "list", "--data", "nowhere"], "--data nowhere does not exist: give a folder of data sets"),
        (
            ["train", "ring", "--detector.num-samples", "7"],
            "detector.num_samples is 7, and must be at least the 8 modes",
        ),
        (["train", "ring", "--data.num-modes", "9999999"], "Ring.num_modes is 9999999, and must be at most 1000000"),
        (["sweep", "ring", "--seeds", "2", "--data.weights", "1,nan"], "which holds nan, and must be a finite number"),
    ],
)
def test_what_is_said(folder, arguments, words):
    got = answer(arguments, folder)
    assert got.fault() == ""
    assert words in got.said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch-size", "1000000000"], "batch_size is 1,000,000,000; "),
        (["--generator.latent-dim", "2000000000"], "generator.latent_dim is 2,000,000,000; "),
        (["--discriminator.network.widths", "100000000,8"], "discriminator.network.widths.0 is 100,000,000; "),
        (["--num-steps", "2000000000", "--eval-every-steps", "2000000000"], "eval_every_steps is 2,000,000,000; "),
    ],
)
def test_sizes_that_no_memory_holds_are_refused_with_one_that_fits(folder, monkeypatch, options, words):
    monkeypatch.setattr("gan_jax.scaling.memory_check.device_bytes", lambda device: 2**30)
    got = answer(["train", "ring", *options], folder)
    assert got.fault() == ""
    assert "this takes at least" in got.said
    assert words in got.said
    assert got.said.strip().endswith(" would fit")
    fits = got.said.split("; ")[1].removesuffix(" would fit\n").replace(",", "")
    assert int(fits) >= 1024


def test_a_home_folder_that_is_not_known(folder, monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    assert answer(["data", "list"], folder).code == 0
    for arguments in (["train", "label_noise_mnist_small"], ["data", "show", "mnist"]):
        got = answer(arguments, folder)
        assert got.fault() == "", arguments
        assert "no data set 'mnist' in ~/tensorflow_datasets" in got.said
    for arguments in (
        ["train", "ring", "--run-dir=~/x"],
        ["train", "digits", "--data", "~/x"],
        ["report", "~/x"],
    ):
        got = answer(arguments, folder)
        assert got.fault() == "", arguments
        assert "set HOME, or give a full path" in got.said


def test_a_path_of_any_option_may_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    parsers = all_parsers()
    num = 0
    for parser in parsers.values():
        for action in parser._actions:
            if action.type is path:
                num += 1
                assert action.type("~/a/b+r1@3#2") == f"{tmp_path}/a/b+r1@3#2"
            if isinstance(action.type, NewFile):
                ending = (*action.type.endings, "")[0]
                assert action.type(f"~/x{ending}") == f"{tmp_path}/x{ending}"
            takes_a_place = action.metavar in ("DIR", "RUN", "SWEEP", "FILE", "RUN[@STEP]") or action.dest == "run"
            assert not takes_a_place or action.type is path or isinstance(action.type, NewFile), action.dest
    assert num > 20


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ring", "--arm", "x", "--seeds", "2"], "ring defines no sweep(), so it has no arms"),
        (
            ["remedies_ring", "--arm", "plain", "--grid", "data.std", "0.1,0.2"],
            "--arm chooses from the arms of the config",
        ),
        (["--resume", "sweep", "--arm", "plain"], "leave out the config, --grid, --arm"),
    ],
)
def test_arms_that_would_not_be_chosen_are_told(folder, words, told):
    given = answer(["sweep", *words], folder)
    assert not given.fault()
    assert told in given.said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("report run --config missing.py", "no config file missing.py"),
        ("evaluate run --config rong", "no config 'rong'"),
        ("thresholds run --config . --trust", "give only one of them"),
        ("watch run --config ./no.py+r1", "no config file ./no.py"),
        ("train ring --trust", "are for reading an existing folder: to start anew, give gan-jax train CONFIG"),
        (
            "sweep ring --seeds 2 --config ring",
            "are for reading an existing folder: to start anew, give gan-jax sweep CONFIG",
        ),
    ],
)
def test_code_that_a_folder_does_not_need_is_checked_too(folder, words, told):
    given = answer(words.split(), folder)
    assert not given.fault()
    assert told in given.said


def test_a_damaged_sweep_is_not_put_down_to_an_option(folder):
    sweep = own_sweep(folder / "sweep", "ring")
    sweep.members_path.write_text('{"member": 0, "ended": false}\n', encoding="utf-8")
    sweep.record_path.write_text("{}", encoding="utf-8")
    given = answer(["report", "sweep"], folder)
    assert not given.fault()
    assert "sweep.json cannot be read" in given.said
    assert "--baseline" not in given.said


def test_a_run_whose_name_ends_like_a_step(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "a@4").mkdir()
    assert [split_step(name) for name in ("a@4", "a@4@2", "run@2", "no@2")] == [
        ("a@4", ""),
        ("a@4", "2"),
        ("run", "2"),
        ("no", "2"),
    ]
