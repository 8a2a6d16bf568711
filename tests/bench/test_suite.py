"""Suites: reading, refusals, and the identity of trials."""

from __future__ import annotations

from pathlib import Path

import pytest

import unetzoo
from support.entries import refused_in_one_line
from unetzoo._util.plugins import import_plugins
from unetzoo.bench.collection import Collection
from unetzoo.bench.expand import expand
from unetzoo.bench.suite import QUICK_SUITE, Suite
from unetzoo.bench.suite_file import adjust, read_suite
from unetzoo.cli.options import parse_options
from unetzoo.errors import UnetzooError
from unetzoo.models import registry

LONG = {"zoo-cells", "zoo-cells-peers", "pretrained-data-efficiency"}  # build many networks, as many other tests do
SUITES = [QUICK_SUITE, *sorted((Path(__file__).parents[2] / "benchmarks").glob("*.toml"))]


def suite(**changes: object) -> Suite:
    data = {"name": "cells", "options": {"n_train": 2, "n_val": 1, "n_test": 1, "size": 48}}
    return Suite.from_mapping({"name": "s", "models": ["unet"], "data": data, "baselines": False, **changes}, "s.toml")


def ids(**changes: object) -> list[str]:
    made = suite(**changes)
    return [trial.id for trial in expand(made, made.data.open())]


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.nightly) if path.stem in LONG else path for path in SUITES],
    ids=lambda path: path.stem,
)
def test_our_own_suites_are_sound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {name: entry for name, entry in registry.entries().items() if entry.family != "own"}
    monkeypatch.setattr(registry._REGISTRY, "entries", ours)  # patterns match models of other tests
    made = read_suite(path)
    assert made.question
    assert made.name == path.stem
    cells = unetzoo.create_dataset("cells")
    # Its data sets are not opened here, so suites that differ in them alone would be expanded alike.
    suites = {
        suite.model_dump_json(exclude={"data"}): suite
        for suite in (made.suites.values() if isinstance(made, Collection) else [made])
    }
    for suite in suites.values():
        anywhere = suite.model_copy(update={"score": suite.score.model_copy(update={"isbi": None})})  # names a class
        expand(anywhere, cells)  # every model and option exists, labels differ


def test_quick_suite_has_enough_seeds_for_verdicts() -> None:
    quick = read_suite(QUICK_SUITE)
    assert len(quick.models) >= 3
    assert len(quick.seeds) >= 3
    assert quick.data.name == "cells"


def test_the_same_trial_has_the_same_id_and_any_change_another() -> None:
    base = ids()
    assert ids() == base
    assert ids(question="something else", name="other") == base
    for change in (
        {"set": {"up": "bilinear"}},
        {"models": [{"name": "unet", "set": {"width": 8}}]},
        {"models": ["unet_bilinear"]},
        {"train": {"lr": 0.1}},
        {"measure": {"size": 64}},
        {"seeds": [1]},
        {"data": {"name": "cells", "options": {"n_train": 2, "n_val": 1, "n_test": 1, "size": 48, "seed": 1}}},
    ):
        assert ids(**change) != base, change


def test_a_changed_own_model_is_a_new_trial(clean_registry: dict, tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    text = "import unetzoo\n@unetzoo.register_model\ndef {0}(in_channels, num_classes): ...\n"
    source.write_text(text.format("fingerprinted"))
    import_plugins([str(source)])
    import_plugins([str(source)])  # importing it twice is not a duplicate
    before = unetzoo.model_info("fingerprinted").fingerprint()
    source.write_text(text.format("fingerprinted") + "# changed\n")
    assert unetzoo.model_info("fingerprinted").fingerprint() != before


def test_seeds_are_outermost_and_settings_reach_every_model() -> None:
    made = suite(models=["unet", {"name": "unet", "set": {"up": "nearest"}}], seeds=2, set={"width": 4})
    trials = expand(made, made.data.open())
    assert [(t.seed, t.model.label) for t in trials] == [
        (0, "unet"),
        (0, "unet(up=nearest)"),
        (1, "unet"),
        (1, "unet(up=nearest)"),
    ]
    assert {t.model.options["width"] for t in trials} == {4}
    assert len({t.stem for t in trials}) == 4


BAD = {
    "": ["models is missing"],
    "models = []": ["models = []"],
    "models = ['unet']\nseeds = 0": ["a number of seeds must be 1 to 10000, not 0"],
    "models = ['unet']\nseeds = [1, 1]": ["seeds = [1, 1]", "twice"],
    "models = ['unet']\nmodel = 3": ["unknown option 'model'", "did you mean models?"],
    "models = ['unet']\n[train]\nstep = 3": ["'train.step'", "did you mean steps"],
    "models = ['unet']\n[train]\nsteps = 'many'": ["train.steps = 'many'", "integer"],
    "models = ['unet']\n[train]\nlr = inf": ["train.lr"],
    "models = ['unet']\n[train]\nsteps = 3\nminutes = 1": ["train: steps and minutes are given"],
    "models = ['unet']\n[train]\nprecision = 'bf16'": ["train.precision = 'bf16'", "bfloat16", "float32"],
    "models = ['unet']\n[train]\nbatch_size = 3\ndevices = 2": ["batch_size = 3", "devices = 2"],
    "models = ['unet']\n[data]\npath = 'x'": ["'data.path'", "root"],
    "models = [{nam = 'unet'}]": ["unknown option 'models.0.nam'; did you mean name?"],
    "models = [{name = 'unet', sets = {}}]": ["'models.0.sets'", "did you mean set"],
    "models = ['unet']\nname = '../x'": ["name = '../x'"],
    "models = ['unet'": ["not valid TOML"],
    "models = ['unet']\n[train\nsteps = 3": ["not valid TOML", "line 2"],
}


@pytest.mark.parametrize("text", BAD, ids=lambda t: t.replace("\n", ";")[:40])
def test_a_bad_suite_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UnetzooError) as caught:
        read_suite(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in BAD[text]:
        assert word in message


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnetzooError, match=r"none\.toml: cannot be read: No such file"):
        read_suite(tmp_path / "none.toml")
    with pytest.raises(UnetzooError, match=r"none\.py: no such file"):
        import_plugins([str(tmp_path / "none.py")])
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(UnetzooError, match=r"broken\.py: ZeroDivisionError"):
        import_plugins([str(tmp_path / "broken.py")])


def test_unknown_model_and_equal_labels() -> None:
    with pytest.raises(UnetzooError, match="unknown model 'unett'"):
        ids(models=["unett"])
    with pytest.raises(UnetzooError, match="'unet': unknown option 'widht'"):
        ids(set={"widht": 3})
    with pytest.raises(UnetzooError, match="two models have the label 'unet'"):
        ids(models=["unet", "unet"])


def test_a_pattern_is_every_model_that_matches() -> None:
    made = Suite(name="x", models=["unet_d?", {"name": "unet", "set": {"width": 4}}], seeds=[3], baselines=False)
    labels = [trial.model.label for trial in expand(made, made.data.open())]
    assert labels == [*unetzoo.list_models("unet_d?"), "unet(width=4)"]
    made = Suite(name="x", models=["unet_d3", "unet_d*"], seeds=[3], baselines=False)  # the first is the reference
    labels = [trial.model.label for trial in expand(made, made.data.open())]
    assert labels == sorted(unetzoo.list_models("unet_d*"), key=lambda name: name != "unet_d3")
    for models, message in (
        (["unet_?x"], "no model matches 'unet_.x'"),
        ([{"name": "unet_d*", "label": "deep"}], "label = 'deep' needs one model, but 'unet_d.' is a pattern"),
        (["unet_d*", "unet_d2"], "two models have the label 'unet_d2'"),
    ):
        wrong = Suite(name="x", models=models)
        with pytest.raises(UnetzooError, match=message):
            expand(wrong, wrong.data.open())


def test_paths_are_relative_to_the_suite_file(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        "models = ['unet']\nimports = ['mine.py', 'os']\n[data]\nname = 'folder'\nroot = 'pictures'\n"
    )
    made = read_suite(tmp_path / "s.toml")
    assert made.data.root == str(tmp_path / "pictures")
    assert made.imports == [str(tmp_path / "mine.py"), "os"]
    assert made.name == "s"


def test_adjust(tmp_path: Path) -> None:
    assert adjust(None) == read_suite(QUICK_SUITE)
    own = adjust(None, models=["unet", " unet_d2"], options={"width": 3}, seeds=2, steps=7)
    assert [m.name for m in own.models] == ["unet", "unet_d2"]
    assert (own.set, own.seeds, own.train.steps) == ({"width": 3}, [0, 1], 7)
    assert adjust(None, data="cells").set == {}  # models as registered, not the quick suite's narrow ones
    assert adjust(None, data=str(tmp_path)).data.name == "folder"
    assert adjust(None, data=str(tmp_path)).name == tmp_path.name
    assert adjust(None, data=str(tmp_path / ".." / tmp_path.name / ".")).name == tmp_path.name
    given = adjust(suite(train={"minutes": 1.0}), steps=3)
    assert (given.train.steps, given.train.minutes) == (3, None)
    with pytest.raises(UnetzooError, match=r"--data 'cell' is neither a folder, .* nor a data set; did you mean cells"):
        adjust(None, data="cell")
    with pytest.raises(UnetzooError, match=r"models = \[\]"):
        adjust(None, models=[""])


def test_settings() -> None:
    made = parse_options(["width=16", "up=bilinear", "dropout = 0.5", "up_act=true", 'skip="none"'])
    assert made == {"width": 16, "up": "bilinear", "dropout": 0.5, "up_act": True, "skip": "none"}
    for bad in ("width", "=3"):
        with pytest.raises(UnetzooError, match="expected OPTION=VALUE"):
            parse_options([bad])


def test_a_model_may_train_differently_and_only_it() -> None:
    models = ["unet", {"name": "unet", "label": "old", "train": {"recipe": "paper2015", "crop": 64}}]
    made = suite(models=models, train={"lr": 0.01, "batch_size": 4, "minutes": 2.0})
    plain, old = (trial.train for trial in expand(made, made.data.open()))
    assert plain == made.train
    assert (old.optimizer, old.batch_size, old.crop, old.minutes, old.lr) == ("sgd", 1, 64, 2.0, 1e-3)
    assert Suite.from_mapping(made.model_dump(), "again") == made
    assert ids(train={"lr": 0.01, "batch_size": 4, "minutes": 2.0}) == [expand(made, made.data.open())[0].id]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"recipe": "paper"},
            r"models: unet: train: recipe = 'paper' is not a choice; .*allowed: modern, robust",
        ),
        ({"lrr": 1}, r"models: unet: train: unknown option 'lrr'; did you mean lr"),
        ({"border": {"sigma": 0}}, r"models: unet: train: border.sigma = 0"),
        ({"steps": 3, "minutes": 1.0}, r"models: unet: train: steps and minutes are given"),
        ({"workers": -1}, r"models: unet: train: workers = -1 must be 'auto' or a number from 0 up"),
    ],
)
def test_a_wrong_change_of_a_models_recipe_is_one_line(train: dict[str, object], message: str) -> None:
    with pytest.raises(UnetzooError, match=message) as error:
        suite(models=[{"name": "unet", "train": train}])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("unet", {"encoder": "volo_d1_224"}, ["'volo_d1_224' does not take", "images of arbitrary size"]),
        ("unet", {"encoder": "resnet34", "depth": 8}, ["depth = 8"]),
        ("smp_unet", {"encoder": "resnet3o4"}, ["smp has no such encoder"]),
        ("u2net", {"width": 0}, ["option width = 0"]),
        ("ternausnet16", {"up": "transposed"}, ["option up = 'transposed'", "did you mean transposed_"]),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_before_any_trial(
    name: str, options: dict[str, object], words: list[str]
) -> None:
    made = suite(models=["unet", {"name": name, "set": options}])
    refused_in_one_line([f"model {name!r}: ", *words], lambda: expand(made, made.data.open()))


def not_called(in_channels: int, num_classes: int) -> None:
    pytest.fail("was called")


def test_what_is_ones_own_is_first_built_in_its_trial(clean_registry: dict) -> None:
    unetzoo.register_model("own")(not_called)
    unetzoo.register_model("by_name", f"{__name__}:not_called")
    assert len(ids(models=["own", "by_name"])) == 2 * len(ids(models=["own"]))


@pytest.mark.parametrize("source", ["no_such_module:Net", "unetzoo:NoSuchNet"])
def test_what_cannot_be_imported_is_said_in_one_line(source: str, clean_registry: dict) -> None:
    unetzoo.register_model("own", source)
    refused_in_one_line(["model 'own': ", source, "cannot be imported"], lambda: ids(models=["own"]))


def test_what_cannot_be_matched_is_named() -> None:
    made = suite(models=["unet", {"name": "unet_resnet18", "set": {"encoder": "resnet34", "depth": 9}}], match="params")
    refused_in_one_line(["model 'unet_resnet18': depth = 9"], lambda: expand(made, made.data.open()))
