"""Batch norms whose statistics are those of all processes' batches, for training on several GPUs."""

from __future__ import annotations

from timm.layers.norm_act import BatchNormAct2d, convert_sync_batchnorm
from torch import nn

KNOWN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, BatchNormAct2d)


def synchronise_batch_norms(network: nn.Module) -> None:
    """Replace the batch norms of a network by synchronised ones, in place. The names of its weights stay the same.

    Without this each process normalises by its share of the batch. Batch norms of derived classes are left as they
    are, except timm's, which applies the activation too: what they do besides would be lost.

    Args:
        network: The network, before its optimizer is built.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) in KNOWN:
                setattr(module, name, convert_sync_batchnorm(child))
