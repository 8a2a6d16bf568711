"""unetzoo: which U-Net should I use, and what does it cost me?

>>> import unetzoo
>>> unetzoo.list_models("*noskip*")
['unet_noskip']
>>> model = unetzoo.create_model("unet", in_channels=1, num_classes=2, up="bilinear", width=32)

Importing the package imports neither torch nor any other heavy library; building a model does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unetzoo._util.versions import __version__ as __version__
    from unetzoo.bench.collection import Collection
    from unetzoo.bench.planned import plan
    from unetzoo.bench.run import run
    from unetzoo.bench.suite import Suite
    from unetzoo.data.registry import create_dataset, list_datasets, register_dataset
    from unetzoo.errors import UnetzooError
    from unetzoo.export.load import load_exported
    from unetzoo.export.save import export_model
    from unetzoo.grid.spec import UNetSpec
    from unetzoo.inference.predict import predict
    from unetzoo.models.factory import create_model
    from unetzoo.models.papers import Paper
    from unetzoo.models.registry import list_models, model_info, register_model
    from unetzoo.records.frame import read_records
    from unetzoo.report.read import read_report
    from unetzoo.train.weights import load_model, save_model


_HOME = {
    "__version__": "unetzoo._util.versions",
    "Suite": "unetzoo.bench.suite",
    "Collection": "unetzoo.bench.collection",
    "plan": "unetzoo.bench.planned",
    "run": "unetzoo.bench.run",
    "read_records": "unetzoo.records.frame",
    "read_report": "unetzoo.report.read",
    "create_model": "unetzoo.models.factory",
    "list_models": "unetzoo.models.registry",
    "model_info": "unetzoo.models.registry",
    "register_model": "unetzoo.models.registry",
    "create_dataset": "unetzoo.data.registry",
    "list_datasets": "unetzoo.data.registry",
    "register_dataset": "unetzoo.data.registry",
    "predict": "unetzoo.inference.predict",
    "load_model": "unetzoo.train.weights",
    "save_model": "unetzoo.train.weights",
    "export_model": "unetzoo.export.save",
    "load_exported": "unetzoo.export.load",
    "UNetSpec": "unetzoo.grid.spec",
    "Paper": "unetzoo.models.papers",
    "UnetzooError": "unetzoo.errors",
}
__all__ = [
    "Collection",
    "Paper",
    "Suite",
    "UNetSpec",
    "UnetzooError",
    "create_dataset",
    "create_model",
    "export_model",
    "list_datasets",
    "list_models",
    "load_exported",
    "load_model",
    "model_info",
    "plan",
    "predict",
    "read_records",
    "read_report",
    "register_dataset",
    "register_model",
    "run",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unetzoo' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
