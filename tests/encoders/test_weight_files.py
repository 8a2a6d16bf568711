"""Files of weights that are damaged, hostile or of another network."""

from __future__ import annotations

import contextlib
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

import unetzoo
from support.entries import refused_in_one_line
from support.pretrained import body, tiny
from unetzoo import UnetzooError
from unetzoo.encoders import pretrained
from unetzoo.models.factory import resolve_model


class _Code:
    def __reduce__(self) -> Any:
        return (print, ("this ran",))


def code(protocol: int, path: Path, _: dict[str, torch.Tensor]) -> None:
    path.write_bytes(pickle.dumps({"a": _Code()}, protocol=protocol))


def flipped(path: Path, state: dict[str, torch.Tensor]) -> None:
    """Save the weights with one bit flipped."""
    torch.save(state, path)
    content = bytearray(path.read_bytes())
    content[content.index(state["conv1.0.weight"].numpy().tobytes())] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p, s: p, ["none.pth", "no such file"]),
        (lambda p, s: p.with_suffix(".txt"), ["none.txt", ".safetensors"]),
        (lambda p, s: p.write_bytes(b"hello"), ["damaged, or not a file of weights"]),
        (lambda p, s: p.write_bytes(b"<html>404</html>"), ["damaged, or not a file of weights"]),
        (
            lambda p, s: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
            ["damaged, or not a file of weights"],
        ),
        (lambda p, s: p.write_bytes(b"\x80\x02\x99\x98 hello"), ["damaged, or not a file of weights"]),
        *((partial(code, protocol), ["wants to run code"]) for protocol in range(6)),
        (lambda p, s: torch.save(torch.nn.Conv2d(1, 1, 1), p), ["wants to run code", "Conv2d", "state_dict()"]),
        (lambda p, s: flipped(p, s), ["is damaged", "checksum"]),
        (lambda p, s: torch.save({**s, "bn1.bias": torch.full((64,), math.nan)}, p), ["bn1.bias", "not finite"]),
        (lambda p, s: torch.save({"a": _Code()}, p), ["wants to run code"]),
        (lambda p, s: torch.save([1, 2], p), ["no tensors by name"]),
        (lambda p, s: torch.save({"a": 1}, p), ["no tensors by name"]),
        (lambda p, s: torch.save({}, p), ["no tensors by name"]),
        (lambda p, s: torch.save({"a": torch.eye(2).to_sparse()}, p), ["no tensors by name"]),
        (lambda p, s: torch.save({"a": torch.eye(2, device="meta")}, p), ["no tensors by name"]),
        (lambda p, s: torch.save({0: torch.eye(2)}, p), ["no tensors by name"]),
        (lambda p, s: torch.save({k: v for k, v in s.items() if "layer3" not in k}, p), ["missing (layer3.0", ", ..."]),
        (lambda p, s: torch.save({**s, "extra": torch.zeros(1)}, p), ["1 unexpected (extra)"]),
        (lambda p, s: torch.save({**s, "bn1.weight": torch.zeros(3)}, p), ["1 of another shape (bn1.weight)"]),
        (lambda p, s: torch.save(timm.create_model("test_convnext").state_dict(), p), ["missing", "unexpected"]),
    ],
)
def test_what_is_wrong_with_a_file(
    make: Any, words: list[str], state: dict[str, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.pth"
    made = make(path, state)
    refused_in_one_line(words, lambda: tiny(pretrained=made if isinstance(made, Path) else path))
    assert "this ran" not in capsys.readouterr().out


def test_a_file_that_timms_own_filter_stumbles_over(file: Path) -> None:
    words = ["not the weights of encoder = 'convnext_atto': ", " missing (stem.0.weight", " unexpected ("]
    refused_in_one_line(words, lambda: unetzoo.create_model("unet", encoder="convnext_atto", depth=5, pretrained=file))


@pytest.mark.parametrize("name", ["dla46x_c", "convnextv2_atto.fcmae"])
def test_a_file_must_fit_also_where_timm_would_overlook_it(name: str, file: Path, tmp_path: Path) -> None:
    """For some encoders timm loads only the keys it finds; for some, weights were published without a head."""
    words = [f"not the weights of encoder = '{name}': ", " missing ("]
    refused_in_one_line(words, lambda: unetzoo.create_model("unet", encoder=name, depth=4, width=4, pretrained=file))
    theirs = {key: value.contiguous() for key, value in timm.create_model(name, num_classes=0).state_dict().items()}
    own = {key: value for key, value in theirs.items() if not key.startswith("head.")}
    save_file(own, tmp_path / "own.safetensors")
    model = unetzoo.create_model("unet", encoder=name, depth=4, width=4, pretrained=tmp_path / "own.safetensors")
    loaded = {id(value): value for value in model.encoder.body.state_dict().values() if value.ndim == 4}
    assert loaded
    for value in loaded.values():
        assert any(value.shape == known.shape and torch.equal(value, known) for known in own.values())


@pytest.mark.filterwarnings("ignore::UserWarning:timm.layers.interpolate")
def test_what_timms_filter_makes_of_a_file(tmp_path: Path) -> None:
    """Swin's position tables for another window are resized; invalid tables are reported."""
    name = "swin_tiny_patch4_window7_224"
    state = timm.create_model(name, img_size=384, window_size=12).state_dict()
    torch.save(state, tmp_path / "larger.pth")
    config = resolve_model("unet", options={"encoder": name, "depth": 6, "width": 4})
    changed = config.model_copy(update={"options": {**config.options, "pretrained": str(tmp_path / "larger.pth")}})
    changed.check()
    loaded = body(changed.build())["layers_0.blocks.0.attn.qkv.weight"]
    assert torch.equal(loaded, state["layers.0.blocks.0.attn.qkv.weight"])
    flat = {key: value.flatten() if "bias_table" in key else value for key, value in state.items()}
    torch.save(flat, tmp_path / "larger.pth")
    refused_in_one_line(["not the weights of encoder", "of another shape"], changed.check)


def test_checks_in_several_threads_leave_torch_as_it_is(file: Path) -> None:
    load = nn.Module.load_state_dict
    with ThreadPoolExecutor(4) as pool:
        checks = [pool.submit(pretrained.checked_state, "test_resnet", str(file)) for _ in range(12)]
        nn.Linear(2, 2).load_state_dict({}, strict=False)
        assert all(check.result() for check in checks)
    assert nn.Module.load_state_dict is load


@pytest.mark.parametrize("weights", ["", "imagenet", 1])
def test_what_is_neither_a_file_nor_true(weights: Any) -> None:
    words = ["pretrained = ", "rue"]  # True in Python, true in a suite
    refused_in_one_line(words, lambda: unetzoo.create_model("ternausnet11", pretrained=weights))
    if isinstance(weights, str):
        refused_in_one_line(words, lambda: tiny(pretrained=weights))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_said_to_be_damaged(data: st.DataObject, damaged: tuple[bytes, Path]) -> None:
    """A damaged file is refused, or read if only numbers changed."""
    whole, path = damaged
    content = bytearray(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)
    for at in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=4)):
        content[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
    path.write_bytes(content)
    with contextlib.suppress(UnetzooError):
        pretrained.read_state(path)


@pytest.fixture(scope="module", params=["zip", "legacy", "safetensors"])
def damaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    """Return a file's content and the path to write it to."""
    path = tmp_path_factory.mktemp("damaged") / f"w.{'safetensors' if request.param == 'safetensors' else 'pth'}"
    state = {"a.weight": torch.rand(2, 3), "a.bias": torch.rand(2)}
    if request.param == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=request.param == "zip")
    return path.read_bytes(), path


def test_a_damaged_safetensors_file(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UnetzooError, match=r"weights\.safetensors: is damaged"):
        tiny(pretrained=file)
