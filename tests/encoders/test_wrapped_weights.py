"""Files of weights as training scripts save them, and files that ask for far more memory than they have bytes."""

from __future__ import annotations

import resource
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from unetzoo import UnetzooError, create_model
from unetzoo.encoders.state import read_state

STATE = {"conv1.weight": torch.arange(4.0), "bn1.bias": torch.ones(2)}


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def prefixed(prefix: str, state: dict[str, torch.Tensor] = STATE) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        prefixed("module."),
        prefixed("encoder."),
        prefixed("model."),
        prefixed("module.model.encoder."),
        prefixed("_orig_mod.backbone."),
        {"epoch": 3, "model_state_dict": STATE, "optimizer_state_dict": {"state": {}}, "loss": 0.5},
        {"epoch": 3, "state_dict": prefixed("module."), "arch": "resnet18", "best_acc1": 70.0},
        {"pytorch-lightning_version": "2.5", "state_dict": prefixed("model."), "global_step": 9, "loops": {}},
        {"model": {"state_dict": STATE}},
        {"encoder_state_dict": STATE, "decoder_state_dict": {}},
        {"net": prefixed("net.")},
    ],
    ids=lambda content: ",".join(list(content)[:2]),
)
@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".pth.tar", ".pt", ".bin"])
def test_wrapped_weights_are_read(tmp_path: Path, content: dict[str, Any], suffix: str) -> None:
    found = read_state(saved(tmp_path / f"a{suffix}", content))
    assert list(found) == list(STATE)
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epoch": 3, "optimizer": {}}, "but 'epoch', 'optimizer'; save a state_dict(), alone or under one of"),
        ({"state_dict": {"a": torch.ones(1), "note": "x"}}, "in ['state_dict'], but 'note'"),
        ([torch.ones(1)], "but a list"),
        ({}, "but nothing"),
    ],
)
def test_what_a_file_holds_instead_is_named(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(UnetzooError) as caught:
        read_state(saved(tmp_path / "a.pth", content))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_lightning_gives_the_same_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = timm.create_model("resnet18").state_dict()
    content = {"epoch": 1, "state_dict": {f"model.encoder.{name}": tensor.half() for name, tensor in whole.items()}}
    options: dict[str, Any] = {"encoder": "resnet18", "depth": 5, "width": 4}
    path = saved(tmp_path / "last.ckpt", content)
    model = create_model("unet", pretrained=path, **options)
    weight = next(p for name, p in model.named_parameters() if name.endswith("layer1.0.conv1.weight"))
    assert torch.equal(weight, whole["layer1.0.conv1.weight"].half().float())


def test_a_whole_network_is_named_not_loaded(tmp_path: Path) -> None:
    whole = timm.create_model("resnet18").state_dict()
    content = {**prefixed("encoder.", whole), "decoder.weight": torch.ones(1)}
    with pytest.raises(UnetzooError, match=r"not the weights of encoder = 'resnet18': .* unexpected \(encoder\.conv1"):
        create_model("unet", encoder="resnet18", width=4, pretrained=saved(tmp_path / "a.pth", content))


class Call:
    """Pickled as a call of ``function(number)``."""

    def __init__(self, function: Any, number: int) -> None:
        self.call = function, (number,)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        {"w": torch.zeros(1).expand(2**33)},
        {f"w{k}": torch.zeros(1).expand(2**23) for k in range(9)},
        {"w": Call(bytearray, 2**35)},
        {"w": Call(torch.Tensor, 2**33)},
    ],
    ids=["view", "views", "bytearray", "Tensor"],
)
def test_a_small_pickle_that_asks_for_much(tmp_path: Path, content: dict[str, Any], zipped: bool) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = saved(tmp_path / "a.pth", content, _use_new_zipfile_serialization=zipped)
    assert path.stat().st_size < 4000
    with pytest.raises(UnetzooError, match=r"asks? for .* has \d+"):
        read_state(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_a_storage_of_a_stated_size_is_not_allocated(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"w": torch.zeros(300, 300)}, _use_new_zipfile_serialization=False)
    content, size = path.read_bytes(), b"J" + (90_000).to_bytes(4, "little")
    assert content.count(size) == 1
    path.write_bytes(content.replace(size, b"J" + (2**31 - 1).to_bytes(4, "little")))
    with pytest.raises(UnetzooError, match="a storage asks for memory for 2147483647 numbers"):
        read_state(path)


def test_a_compressed_file_that_unpacks_to_much(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"w": torch.zeros(20_000_000)})
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as small:
        for name in whole.namelist():
            small.writestr(name, whole.read(name))
    with pytest.raises(UnetzooError, match=r"has \d+ bytes, but unpacks to 8\d+"):
        read_state(tmp_path / "b.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_ordinary_tensors_of_any_kind_are_read(tmp_path: Path, zipped: bool) -> None:
    big = torch.arange(300_000.0)
    content = {"a": big[5:9], "b": big.reshape(300, 1000).T, "c": torch.ones(1).expand(7), "d": torch.tensor(2.0)}
    found = read_state(saved(tmp_path / "a.pth", content, _use_new_zipfile_serialization=zipped))
    assert all(torch.equal(found[name], content[name]) for name in content)
