"""Pretrained weights of an encoder: which file they are in, how they get there, and loading them with a clear report.

`timm` loads, adapts the stem to the image's channels and fetches what is not at hand; what is at hand is read without
asking the network.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, get_ident
from typing import Any
from unittest.mock import patch

import timm
import torch
from timm.models import adapt_input_conv, get_pretrained_cfg
from torch import nn

from unetzoo.encoders.files import LITE0, weights_file
from unetzoo.encoders.mix_transformer import VARIANTS, MixTransformer
from unetzoo.encoders.state import State, read_state
from unetzoo.encoders.timm_encoder import pyramid
from unetzoo.errors import UnetzooError, one_line

_STRICT = Lock()


def create_pretrained(
    pretrained: bool | str, name: str, *, in_chans: int, out_indices: Sequence[int], **options: Any
) -> nn.Module:
    """As `create_body`, with the weights that ``pretrained`` names: True for those timm knows, or a file.

    Raises `UnetzooError` where they cannot be had, cannot be read, or are another network's.
    """
    state = checked_state(name, pretrained)
    if name in VARIANTS:
        return _mix_transformer(name, state, in_chans, len(out_indices))
    device = torch.get_default_device()  # where timm's filters compute with what the network has
    overlay = {"state_dict": {key: value.to(device) for key, value in state.items()}}
    body = timm.create_model(
        name,
        pretrained=True,
        pretrained_cfg_overlay=overlay,
        features_only=True,
        in_chans=in_chans,
        out_indices=tuple(out_indices),
        **options,
    )
    for module in body.modules():  # timm remembers where weights came from, and so a copy of them
        for settings in (getattr(module, "pretrained_cfg", None), getattr(module, "default_cfg", None)):
            if isinstance(settings, dict):
                settings.pop("state_dict", None)
    return body


def checked_state(name: str, pretrained: bool | str) -> State:
    """The encoder's tensors in the file that ``pretrained`` names, by the encoder's names for them.

    Raises `UnetzooError` where they cannot be had, cannot be read, or are another network's.
    """
    path = weights_file(name, pretrained)
    state = read_state(path)
    if name in VARIANTS:
        state = {key: value for key, value in state.items() if not key.startswith("head.")}
        with torch.device("meta"):
            _compare(name, path, MixTransformer(name, 3).state_dict(), state)
        return state
    if name.partition(".")[0] == LITE0 and "_conv_stem.weight" in state:
        state = _lite0(state, path)
    _check(name, path, state)
    return state


def _check(name: str, path: Path, state: State) -> None:
    """Raise `UnetzooError` unless the file has the whole encoder and nothing else but a classifier."""
    overlay: dict[str, Any] = {"state_dict": {key: value.to("meta") for key, value in state.items()}}
    options = {key: value for key, value in pyramid(name).options.items() if key != "feature_cls"}
    settings = get_pretrained_cfg(name)
    classifiers = (settings.classifier if settings else None) or ()
    # With what else is in a head, such as its norm, which a pyramid has not, nor a network trained without classes.
    heads = ["pre_logits"]
    heads += [name.partition(".")[0] for name in ([classifiers] if isinstance(classifiers, str) else classifiers)]
    try:
        with torch.device("meta"), warnings.catch_warnings(), _strict_loading():
            warnings.simplefilter("ignore")  # that nothing is copied to the meta device
            timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except RuntimeError as error:
        found = {kind: _quoted(str(error), pattern) for kind, pattern in _COMPLAINTS.items()}
        if not any(found.values()):  # something else
            raise UnetzooError(f"{path}: cannot be loaded into encoder = {name!r} ({one_line(error)})") from None
        _report(name, path, found, heads)
    except Exception as error:  # of a filter that expects other names or shapes
        with torch.device("meta"):
            _compare(name, path, timm.create_model(name, **options).state_dict(), state, heads)
        raise UnetzooError(f"{path}: not the weights of encoder = {name!r} ({one_line(error)})") from None


@contextmanager
def _strict_loading() -> Iterator[None]:
    """In this thread missing and unexpected tensors are errors, also where a builder tells timm to overlook them."""
    with _STRICT:
        load, here = nn.Module.load_state_dict, get_ident()

        def strictly(self: nn.Module, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
            return load(self, state_dict, strict or get_ident() == here, assign)

        with patch.object(nn.Module, "load_state_dict", strictly):
            yield


_COMPLAINTS = {  # how torch says it
    "missing": r"Missing key\(s\) in state_dict: (.*)",
    "unexpected": r"Unexpected key\(s\) in state_dict: (.*)",
    "of another shape": r"size mismatch for (\S+):",
}


def _quoted(text: str, pattern: str) -> list[str]:
    return [name.strip(' ".') for found in re.findall(pattern, text) for name in found.split(", ")]


def _report(name: str, path: Path, found: Mapping[str, Iterable[str]], heads: Iterable[str] = ()) -> None:
    """Raise `UnetzooError` unless nothing is found but tensors of ``heads``."""
    parts, of_a_head = [], tuple(f"{head}." for head in heads)
    for kind, listed in found.items():
        if keys := [key for key in listed if not key.startswith(of_a_head)]:
            more = ", ..." if len(keys) > 3 else ""
            parts.append(f"{len(keys)} {kind} ({', '.join(keys[:3])}{more})")
    if parts:
        raise UnetzooError(f"{path}: not the weights of encoder = {name!r}: {'; '.join(parts)}") from None


def _compare(name: str, path: Path, whole: State, state: State, heads: Iterable[str] = ()) -> None:
    """Raise `UnetzooError` unless the file has all of ``whole`` and nothing else, but for ``heads``."""
    found = {
        "missing": [key for key in whole if key not in state],
        "unexpected": [key for key in state if key not in whole],
        "of another shape": [key for key in whole if key in state and whole[key].shape != state[key].shape],
    }
    _report(name, path, found, heads)


def _lite0(state: State, path: Path) -> State:
    """Tensors of the package's file under timm's names: the same network, whose order and shapes agree."""
    with torch.device("meta"):
        wanted = timm.create_model(LITE0).state_dict()
    if [v.shape for v in wanted.values()] != [v.shape for v in state.values()]:
        raise UnetzooError(f"{path}: not the weights of encoder = {LITE0!r}: other shapes, or another order")
    return dict(zip(wanted, state.values(), strict=True))


def _mix_transformer(name: str, state: State, in_chans: int, stages: int) -> nn.Module:
    """As timm's loading, for an encoder that timm has not."""
    stem = "patch_embed1.proj.weight"
    state = {**state, stem: adapt_input_conv(in_chans, state[stem])}
    body = MixTransformer(name, in_chans, stages)
    body.load_state_dict({key: state[key] for key in body.state_dict()})
    return body
