"""Load pretrained weights into an encoder, after checking that a file has exactly the tensors of the encoder.

timm loads the weights and adapts the stem to the channels of the image. Files on this machine are used without network
access.
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
    """Build an encoder like `create_body`, with pretrained weights.

    Args:
        pretrained: True for the weights of timm, or the path of a file.
        name: Name of a timm model or of a Mix Transformer.
        in_chans: Channels of the image.
        out_indices: Indices of the levels to return.
        **options: Further arguments of `timm.create_model`.

    Raises:
        UnetzooError: If the weights cannot be obtained or read, or belong to another network.
    """
    state = checked_state(name, pretrained)
    if name in VARIANTS:
        return _mix_transformer(name, state, in_chans, len(out_indices))
    device = torch.get_default_device()  # timm's filters compute with parameters of the network
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
    for module in body.modules():  # timm keeps a reference to the tensors in its config
        for settings in (getattr(module, "pretrained_cfg", None), getattr(module, "default_cfg", None)):
            if isinstance(settings, dict):
                settings.pop("state_dict", None)
    return body


def checked_state(name: str, pretrained: bool | str) -> State:
    """Return the tensors of a file of weights by the encoder's names, after checking that they fit the encoder.

    Args:
        name: Name of the encoder.
        pretrained: True for the weights of timm, or the path of a file.

    Raises:
        UnetzooError: If the weights cannot be obtained or read, or belong to another network.
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
    """Check that a file has all tensors of the encoder and no others, except for a classifier.

    Raises:
        UnetzooError: If it does not.
    """
    overlay: dict[str, Any] = {"state_dict": {key: value.to("meta") for key, value in state.items()}}
    options = {key: value for key, value in pyramid(name).options.items() if key != "feature_cls"}
    settings = get_pretrained_cfg(name)
    classifiers = (settings.classifier if settings else None) or ()
    # All of the head counts, also its norm: neither a pyramid nor a network trained without classes has it.
    heads = ["pre_logits"]
    heads += [name.partition(".")[0] for name in ([classifiers] if isinstance(classifiers, str) else classifiers)]
    try:
        with torch.device("meta"), warnings.catch_warnings(), _strict_loading():
            warnings.simplefilter("ignore")  # torch warns that copies to the meta device have no effect
            timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except RuntimeError as error:
        found = {kind: _quoted(str(error), pattern) for kind, pattern in _COMPLAINTS.items()}
        if not any(found.values()):  # another reason
            raise UnetzooError(f"{path}: cannot be loaded into encoder = {name!r} ({one_line(error)})") from None
        _report(name, path, found, heads)
    except Exception as error:  # timm's filters raise many types on unexpected names or shapes
        with torch.device("meta"):
            _compare(name, path, timm.create_model(name, **options).state_dict(), state, heads)
        raise UnetzooError(f"{path}: not the weights of encoder = {name!r} ({one_line(error)})") from None


@contextmanager
def _strict_loading() -> Iterator[None]:
    """Make missing and unexpected tensors errors in this thread, even if a builder tells timm to ignore them."""
    with _STRICT:
        load, here = nn.Module.load_state_dict, get_ident()

        def strictly(self: nn.Module, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
            return load(self, state_dict, strict or get_ident() == here, assign)

        with patch.object(nn.Module, "load_state_dict", strictly):
            yield


_COMPLAINTS = {  # patterns of torch's messages
    "missing": r"Missing key\(s\) in state_dict: (.*)",
    "unexpected": r"Unexpected key\(s\) in state_dict: (.*)",
    "of another shape": r"size mismatch for (\S+):",
}


def _quoted(text: str, pattern: str) -> list[str]:
    return [name.strip(' ".') for found in re.findall(pattern, text) for name in found.split(", ")]


def _report(name: str, path: Path, found: Mapping[str, Iterable[str]], heads: Iterable[str] = ()) -> None:
    """Report the tensors that do not match, except for those of ``heads``.

    Raises:
        UnetzooError: If there are any.
    """
    parts, of_a_head = [], tuple(f"{head}." for head in heads)
    for kind, listed in found.items():
        if keys := [key for key in listed if not key.startswith(of_a_head)]:
            more = ", ..." if len(keys) > 3 else ""
            parts.append(f"{len(keys)} {kind} ({', '.join(keys[:3])}{more})")
    if parts:
        raise UnetzooError(f"{path}: not the weights of encoder = {name!r}: {'; '.join(parts)}") from None


def _compare(name: str, path: Path, whole: State, state: State, heads: Iterable[str] = ()) -> None:
    """Check that a file has all tensors of ``whole`` in their shapes and no others, except for those of ``heads``.

    Raises:
        UnetzooError: If it does not.
    """
    found = {
        "missing": [key for key in whole if key not in state],
        "unexpected": [key for key in state if key not in whole],
        "of another shape": [key for key in whole if key in state and whole[key].shape != state[key].shape],
    }
    _report(name, path, found, heads)


def _lite0(state: State, path: Path) -> State:
    """Return the tensors of the package's file under timm's names; the networks agree in order and shapes.

    Raises:
        UnetzooError: If order or shapes differ.
    """
    with torch.device("meta"):
        wanted = timm.create_model(LITE0).state_dict()
    if [v.shape for v in wanted.values()] != [v.shape for v in state.values()]:
        raise UnetzooError(f"{path}: not the weights of encoder = {LITE0!r}: shapes or order differ")
    return dict(zip(wanted, state.values(), strict=True))


def _mix_transformer(name: str, state: State, in_chans: int, stages: int) -> nn.Module:
    """Build a Mix Transformer, which timm lacks, and load its weights as timm would."""
    stem = "patch_embed1.proj.weight"
    state = {**state, stem: adapt_input_conv(in_chans, state[stem])}
    body = MixTransformer(name, in_chans, stages)
    body.load_state_dict({key: state[key] for key in body.state_dict()})
    return body
