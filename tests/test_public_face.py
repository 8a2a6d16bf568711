"""Wrong values for every argument of everything that `unetzoo` offers: our own error, in one line that names it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unetzoo
from unetzoo import UNetSpec, UnetzooError
from unetzoo.models.papers import Paper

VALUES: dict[str, Any] = {
    "None": None,
    "3": 3,
    "-1": -1,
    "0": 0,
    "2.5": 2.5,
    "nan": float("nan"),
    "text": "x",
    "empty": "",
    "NUL": "a\0b",
    "no user": "~nosuchuser/x",
    "list": [],
    "dict": {},
    "tuple": (),
    "object": object(),
    "True": True,
    "bytes": b"x",
    "array": np.zeros((2, 2)),
    "array of text": np.array("x"),
    "array of objects": np.zeros((3, 4), object),
    "array of complex": np.zeros((1, 8, 8), complex),
    "array of nothing": np.zeros((0, 8)),
    "vector": torch.zeros(3),
    "batch": torch.zeros(2, 3, 4, 5),
    "function": lambda: 1,
    "type": int,
}
HUGE = {"401 digits": 10**400}
IMAGE = np.zeros((1, 16, 16), np.float32)
SUITE: dict[str, Any] = {"name": "q", "models": ["unet"], "seeds": [0], "data": {"name": "cells"}, "train": {}}


def small() -> torch.nn.Module:
    return unetzoo.create_model("unet", in_channels=1, num_classes=2, width=2, depth=2)


def decorated(name: Any) -> Any:
    return unetzoo.register_dataset(name)(lambda root=None: None)  # type: ignore[arg-type,return-value]


# For everything in __all__: how it is called, and right values of its arguments.
FACE: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Collection": (unetzoo.Collection, {"name": "c", "question": "", "suites": {}, "only": ()}),
    "Paper": (unetzoo.Paper, {"title": "t", "authors": "a", "year": 2000, "arxiv": None, "doi": None, "code": None}),
    "Suite": (
        unetzoo.Suite,
        {**SUITE, "set": {}, "measure": {}, "score": {}, "limits": {}, "baselines": True, "imports": [], "match": None},
    ),
    "UNetSpec": (
        UNetSpec,
        {"width": 4, "depth": 2, "norm": "batch", "pretrained": False, "dropout": 0.0, "encoder": "plain", "t": 2},
    ),
    "UnetzooError": (lambda: None, {}),
    "create_dataset": (
        unetzoo.create_dataset,
        {"name": "cells", "root": None, "n_train": 2, "folds": None, "fold": None, "split_seed": None, "size": 64},
    ),
    "create_model": (
        unetzoo.create_model,
        {
            "name": "unet",
            "in_channels": 1,
            "num_classes": 2,
            "pretrained": None,
            "width": 2,
            "depth": 2,
            "up": "nearest",
        }
        | {"norm": "batch", "deep_supervision": False},
    ),
    "export_model": (  # ``to`` is wrong too, so that nothing is computed
        unetzoo.export_model,
        {"model": None, "path": "e", "overwrite": False, "to": "none"},
    ),
    "list_datasets": (unetzoo.list_datasets, {}),
    "list_models": (unetzoo.list_models, {"pattern": "unet"}),
    "load_exported": (unetzoo.load_exported, {"path": "none", "backend": None}),
    "load_model": (unetzoo.load_model, {"path": "none.safetensors"}),
    "model_info": (unetzoo.model_info, {"name": "unet"}),
    "plan": (  # models or data without a suite would be planned
        unetzoo.plan,
        {"suite": "none.toml", "memory_gib": 1.0, "timed": False},
    ),
    "predict": (
        unetzoo.predict,
        {"model": None, "image": IMAGE, "tile": 16, "overlap": None, "tta": 1, "batch": 1, "precision": "float32"}
        | {
            "backend": None,
            "channels_last": True,
            "output": "probabilities",
            "out": None,
            "normalize": None,
            "progress": False,
        },
    ),
    "read_records": (unetzoo.read_records, {"folder": "none"}),
    "read_report": (unetzoo.read_report, {"folder": "none", "margin": 0.01}),
    "register_dataset": (decorated, {"name": "new"}),
    "register_model": (
        unetzoo.register_model,
        {"name": "new", "spec": UNetSpec(), "paper": None, "encoder_paper": None, "note": "", "deviations": ()}
        | {"family": "own", "reference": None, "version": 1, "multiple_of": 1, "output": None},
    ),
    "run": (
        unetzoo.run,
        {"suite": "none.toml", "out": "o", "jobs": 1, "retry_failed": False, "wait": False, "watcher": None}
        | {"progress": False},  # models or data without a suite would train
    ),
    "save_model": (unetzoo.save_model, {"model": None, "path": "m.safetensors", "extra": 1}),
}
ALLOCATED = {"n_train", "size", "split_seed"}  # huge values are a wish, not a mistake


def cases() -> Iterator[tuple[str, str, str]]:
    for function, (_, arguments) in FACE.items():
        for argument in arguments:
            for label in {**VALUES, **({} if argument in ALLOCATED else HUGE)}:
                yield function, argument, label


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_registry: object) -> None:
    """Run in an empty folder, and forget what was registered."""
    from unetzoo.data import registry

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_DATASETS", dict(registry._DATASETS) if registry.list_datasets() else {})


def test_the_whole_face_is_tried() -> None:
    assert set(FACE) == set(unetzoo.__all__)


@pytest.mark.parametrize("function", FACE)
def test_a_wrong_value_is_our_own_error(function: str) -> None:
    call, right = FACE[function]
    from unetzoo.data import registry
    from unetzoo.models.registry import _REGISTRY

    for _, argument, label in (case for case in cases() if case[0] == function):
        value = {**VALUES, **HUGE}[label]
        given = {**right, argument: value}
        if argument != "model" and "model" in given:
            given["model"] = small()
        _REGISTRY.entries.pop("new", None)
        registry._DATASETS.pop("new", None)
        at = f"{function}({argument} = {label})"
        if argument == "progress" and callable(value):
            continue  # it is called, and may raise what it likes
        text = ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call(**given)
        except UnetzooError as error:
            text = str(error)
        except Exception as error:
            raise AssertionError(f"{at}: {type(error).__name__}: {error}") from error
        assert "\n" not in text, f"{at}: {text}"
        assert len(text) < 2000, f"{at}: {text}"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: unetzoo.create_model("unet", width=None), "width = None"),
        (lambda: unetzoo.create_model("unet", width=float("nan")), "width = nan"),
        (lambda: unetzoo.create_model(["unet"]), "name = ['unet']: must be the name of a registered model"),
        (lambda: unetzoo.create_model("unet", pretrained=object()), "must be True, False, None or the path of a file"),
        (lambda: unetzoo.create_model("transunet", width="x"), "width = 'x'"),
        (lambda: unetzoo.load_model(None), "load_model: path = None: must be a path"),
        (lambda: unetzoo.save_model(None, "a"), "NoneType was not made by create_model"),
        (lambda: unetzoo.save_model(small(), "a", note=object()), "note = <object"),
        (lambda: unetzoo.predict(None, IMAGE), "predict: model = None: must be a network"),
        (lambda: unetzoo.predict(small(), None), "the image is None, but must be"),
        (lambda: unetzoo.predict(small(), [[1, 2], [3, 4]]), "the image is [[1, 2], [3, 4]], but must be"),
        (lambda: unetzoo.predict(small(), IMAGE, out=np.zeros((2, 16, 16), int)), "out holds int64"),
        (lambda: unetzoo.predict(small(), IMAGE, normalize=lambda x: x[:1, :2]), "the shape must stay"),
        (lambda: unetzoo.list_models(None), "pattern = None: must be a shell pattern"),
        (lambda: unetzoo.read_records(3), "folder = 3: must be a path"),
        (lambda: unetzoo.run(None, "a"), "suite = None: must be a Suite"),
        (lambda: unetzoo.plan("a.toml", memory_gib=-1), "plan: memory_gib = -1: must be above 0, in GiB"),
        (lambda: unetzoo.plan(models="unet"), "plan: models = 'unet': must be a list of names"),
        (lambda: unetzoo.run("a.toml", "b", jobs="2"), "jobs = '2': must be a whole number"),
        (lambda: unetzoo.Suite("a"), "Suite('a'): fields are given by name"),
        (lambda: unetzoo.register_model("new", 3), "spec = 3: must be a UNetSpec"),
        (lambda: unetzoo.register_model("new", UNetSpec(), paper="x"), "paper = 'x': must be a Paper or None"),
        (lambda: unetzoo.register_model("new")(3), "factory = 3: must be a class or a function"),
        (lambda: unetzoo.register_dataset(3), "name = 3: must be a name"),
        (lambda: unetzoo.create_dataset(None), "name = None: must be the name of a registered data set"),
        (lambda: Paper("x"), "Paper('x'): fields are given by name"),
    ],
)
def test_messages_name_argument_value_and_what_is_right(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(UnetzooError) as caught:
        call()
    assert words in str(caught.value)
