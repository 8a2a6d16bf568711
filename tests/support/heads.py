"""Small networks of users, one right and the others each wrong, or odd, in one way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """One convolution: a model that passes all checks."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, num_classes, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        return self.conv(x)


class Tuple(Head):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.conv(x)[:, :1], self.conv(x)


class Dict(Head):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.conv(x), "aux": self.conv(x)}


class Nothing(Head):
    def forward(self, x: Tensor) -> None:
        return None


class TupleInTraining(Head):
    def forward(self, x: Tensor) -> Any:
        return [self.conv(x)] * 3 if self.training else self.conv(x)


class Half(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)[..., ::2, ::2]


class Eights(Head):
    """Takes multiples of 8 alone, with the message of a skip that does not fit."""

    def forward(self, x: Tensor) -> Tensor:
        small = nn.functional.avg_pool2d(x, 8)
        return self.conv(x + nn.functional.interpolate(small, scale_factor=8))


class RoundsDown(Head):
    """Gives the next multiple of 4 below."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(nn.functional.avg_pool2d(self.conv(x), 4), scale_factor=4)


class OneSize(Head):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != (64, 64):
            raise RuntimeError("the position embedding\nis for 64x64")
        return self.conv(x)


class NotANumber(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) / 0 * 0


class NotANumberInGradients(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + (self.conv.weight.sum() * 0).sqrt()


class Classes(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).argmax(1, keepdim=True).expand_as(self.conv(x))


class OneClass(Head):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, 1)


class TwoClasses(Head):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, 2)


class ThreeChannels(Head):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(3, num_classes)


class Unused(Head):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes)
        self.spare = nn.Conv2d(1, 1, 1)


class Detached(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).detach()


class Frozen(Head):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes)
        self.requires_grad_(False)


class Remembers(Head):
    """Adds what it gave before, and so goes through one graph twice."""

    before: Any = 0

    def forward(self, x: Tensor) -> Tensor:
        self.before = self.conv(x) + (self.before if self.training else 0)
        return self.before


class Dropout(Head):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.conv(x), 0.5)


class BatchStatistics(Head):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.batch_norm(self.conv(x), None, None, training=True)


class Unsaved(Head):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes)
        self.projection = torch.randn(num_classes, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.projection


class Imprecise(Head):
    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x) + 1e4) - 1e4 if torch.is_autocast_enabled("cpu") else self.conv(x) * 1.0


class Strided(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.view(len(x), -1).view_as(x))


class Branches(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if float(x.mean()) > 0 else -self.conv(x)


class Raises(Head):
    def __init__(self, in_channels: int, num_classes: int, width: int = 2) -> None:
        raise KeyError("stem")


def no_module(in_channels: int, num_classes: int) -> int:
    return 3
