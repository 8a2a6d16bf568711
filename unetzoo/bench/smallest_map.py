"""Refuse crops so small that a norm of the coarsest level would see a single value per channel."""

from __future__ import annotations

import warnings

from unetzoo.errors import UnetzooError
from unetzoo.models.factory import ModelConfig
from unetzoo.train.recipe import Recipe

LARGEST_STRIDE = 128  # of a network with 8 levels: its coarsest map of a larger crop has several pixels


def check_smallest_map(recipe: Recipe, config: ModelConfig, label: str) -> None:
    """Check that each norm of a model sees several values per channel in training, which torch requires.

    Nothing is allocated. A network that cannot be tried without memory is not checked.

    Args:
        recipe: The recipe, which has size and number of the crops.
        config: The model.
        label: Name of the model in error messages.

    Raises:
        UnetzooError: If a norm would see a single value.
    """
    batch = recipe.batch_size // recipe.devices
    if recipe.crop > (LARGEST_STRIDE if batch == 1 else 32):  # batch norms are content with a batch of two
        return
    if _trains(config, batch, recipe.crop):
        return
    larger = (2**k for k in range(4, 11) if 2**k > recipe.crop)
    remedies = [f"crop = {side}" for side in larger if _trains(config, batch, side)][:1]
    if batch == 1 and _trains(config, 2, recipe.crop):
        remedies.append(f"batch_size = {2 * recipe.devices}")
    at = f"batch_size = {recipe.batch_size} and crop = {recipe.crop}"
    raise UnetzooError(
        f"model {label!r}: train: {at} leave a norm of its coarsest level one value per channel, which cannot be "
        f"trained; {' or '.join(remedies) or 'larger numbers'} would do"
    )


def _trains(config: ModelConfig, batch: int, crop: int) -> bool:
    """Return False if torch refuses a training step because a norm would see a single value per channel."""
    import torch  # only if crops are small, as a suite that has nothing to run does without torch

    from unetzoo.measure.counts import side_read

    side = side_read(config, crop)
    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that copies to the meta device have no effect
        try:
            network = config.build(weights=False).train()
            network(torch.empty(batch, config.in_channels, side, side))
        except ValueError as error:
            return not str(error).startswith("Expected more than 1")
        except Exception:  # of a network that cannot be tried so; its training will tell
            return True
    return True
