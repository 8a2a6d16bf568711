"""From a suite and its data to trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from unetzoo._util.progress import tell
from unetzoo.bench import baselines
from unetzoo.bench.suite import ModelRequest, Suite
from unetzoo.bench.trials import Trial, TrialData, TrialModel
from unetzoo.data.base import SegmentationDataset
from unetzoo.data.registry import OnLeak
from unetzoo.errors import UnetzooError, nearest
from unetzoo.models.factory import ModelConfig, resolve_model
from unetzoo.models.registry import entries, list_models, model_info
from unetzoo.train.recipe import Recipe


def _on_leak(suite: Suite) -> OnLeak | None:
    """Return how leaks are treated, or None for the default, which older records do not name."""
    return None if suite.data.on_leak == "refuse" else suite.data.on_leak


def expand(
    suite: Suite, dataset: SegmentationDataset, finished: Callable[[Trial], bool] = lambda _: False
) -> list[Trial]:
    """Expand a suite to its trials.

    Args:
        suite: The suite.
        dataset: Its open data set.
        finished: Returns True for trials that will not run; a model without others is not built to check it, which
            takes torch.

    Returns:
        The baselines, then the models with seeds outermost, so that an interrupted suite has every model before a
        second seed of any.

    Raises:
        UnetzooError: If a model, option or value is unknown, two models have one label, no width matches the reference,
            ``score.isbi`` is not a class of the data set, or a model cannot be trained on crops of this size or by its
            recipe's ``recompute``.
    """
    suite.score.separator(dataset.info.class_names)
    data = TrialData(**suite.data.model_dump(exclude={"on_leak"}), on_leak=_on_leak(suite), digest=dataset.digest())
    requests = _named(suite.models)
    models = [_resolve(request, suite, dataset) for request in requests]
    labels = [model.label for model in models]
    for label in labels:
        if labels.count(label) > 1:
            raise UnetzooError(f"two models have the label {label!r}; give one of them another")
        if suite.baselines and label in [baseline.label for baseline in baselines.BASELINES.values()]:
            raise UnetzooError(f"the label {label!r} belongs to a baseline; give the model another")
    if suite.match is not None:
        given = {model.label for model, request in zip(models, requests, strict=True) if not request.match}
        models = _matched(models, suite, given)
    common = {"data": data, "measure": suite.measure, "score": suite.score}
    recipes = [suite.recipe(request) for request in requests]
    trials = [
        Trial(model=model, train=recipe, seed=seed, **common)
        for seed in suite.seeds
        for model, recipe in zip(models, recipes, strict=True)
    ]
    missing = {trial.model.label for trial in trials if not finished(trial)}
    _check([pair for pair in zip(models, recipes, strict=True) if pair[0].label in missing], dataset)
    names = baselines.BASELINES if suite.baselines else ()
    return [*(Trial(model=_baseline(name, dataset), train=suite.train, seed=0, **common) for name in names), *trials]


def _check(models: Sequence[tuple[TrialModel, Recipe]], dataset: SegmentationDataset) -> None:
    """Check models before any trial runs, rather than after the trials before it.

    Raises:
        UnetzooError: If a model cannot be built or trained by its recipe.
    """
    for done, (model, _) in enumerate(models, start=1):
        with _naming(model.name):
            model.config.check()
        tell("checking models", done, len(models))
    if any(recipe.foreground for _, recipe in models):
        from unetzoo.data.foreground import check_foreground

        check_foreground(dataset)
    if any(recipe.compile for _, recipe in models):
        from unetzoo.machine.device import check_compiler, resolve_device  # imports torch

        check_compiler(resolve_device(models[0][1].device))
    if any(recipe.precision == "float16" for _, recipe in models):
        from unetzoo.machine.device import resolve_device, resolve_precision  # imports torch

        resolve_precision("float16", resolve_device(models[0][1].device))
    for model, recipe in models:
        if recipe.recompute in ("skips", "decoder") and not model.of_grid:
            raise UnetzooError(
                f"model {model.label!r}: recompute = {recipe.recompute!r} needs a network of the grid; "
                "others have only 'none' and 'all'"
            )
        if recipe.of_the_encoder():
            from unetzoo.train.transfer import check_transfer  # imports torch

            check_transfer(recipe, model.config, model.label)
        if not model_info(model.name).own:
            from unetzoo.bench.smallest_map import check_smallest_map

            check_smallest_map(recipe, model.config, model.label)


def _named(models: Sequence[ModelRequest]) -> list[ModelRequest]:
    """Return one request per model, with the patterns among the names expanded.

    Raises:
        UnetzooError: If a pattern matches no model or has a label.
    """
    requests: list[ModelRequest] = []
    for request in models:
        if not set("*?[") & set(request.name) or request.name in entries():
            requests.append(request)
            continue
        if request.label is not None:
            raise UnetzooError(f"models: label = {request.label!r} needs one model, but {request.name!r} is a pattern")
        if not (names := list_models(request.name)):
            raise UnetzooError(f"models: no model matches {request.name!r}; 'unetzoo list' lists all")
        given = {earlier.label or earlier.name for earlier in requests}
        requests += [request.model_copy(update={"name": name}) for name in names if name not in given]
    return requests


def _baseline(name: str, dataset: SegmentationDataset) -> TrialModel:
    return TrialModel(
        label=baselines.BASELINES[name].label,
        name=name,
        in_channels=dataset.info.channels,
        num_classes=dataset.info.classes,
        options={},
        source=f"baseline v{baselines.VERSION}",
        baseline=True,
    )


def _matched(models: list[TrialModel], suite: Suite, given: set[str]) -> list[TrialModel]:
    """Return every model, but those that keep the given width, at the one that matches the reference's size.

    Args:
        models: The models.
        suite: Their suite, with what to match.
        given: Labels of the models that keep their width.

    Raises:
        UnetzooError: If the reference is not a model of the suite, or a model cannot be matched.
    """
    from unetzoo.bench.match import count, match_width  # imports torch

    assert suite.match is not None
    by_label = {model.label: model for model in models}
    label = suite.reference or models[0].label
    if label not in by_label:
        raise UnetzooError(f"reference = {label!r} is not the label of a model here; {nearest(label, by_label)}")
    size = suite.measure.size
    target = count(by_label[label].config, suite.match, size)
    found = []
    for done, model in enumerate(models):
        tell("matching widths", done, len(models))
        if model.label in given and model.label != label:
            found.append(model)
            continue
        config, reached = model.config, target
        if model.label != label:
            with _naming(model.name):
                config, reached = match_width(model.config, target, suite.match, size)
        matched = {"what": suite.match, "reference": label, "target": target, "reached": reached}
        matched["ratio"] = round(reached / target, 4)
        found.append(model.model_copy(update={"options": config.options, "matched": matched}))
    tell("matching widths", len(models), len(models))
    return found


def _resolve(request: ModelRequest, suite: Suite, dataset: SegmentationDataset) -> TrialModel:
    _check_set(request.name, suite)
    given = {**suite.set, **request.set}
    channels = {"in_channels": dataset.info.channels, "num_classes": dataset.info.classes}
    config = resolve_model(request.name, **channels, options=given)
    if suite.recipe(request).deep_supervision and "deep_supervision" in config.options.keys() - given.keys():
        config = resolve_model(request.name, **channels, options={**given, "deep_supervision": True})
    label = request.label
    if label is None:
        named = {k: Path(v).name if k == "pretrained" and isinstance(v, str) else v for k, v in request.set.items()}
        changed = ", ".join(f"{k}={v}" for k, v in named.items())
        label = f"{request.name}({changed})" if changed else request.name
    identity = {"source": model_info(request.name).fingerprint(), "weights": _weights(config)}
    return TrialModel(label=label, **identity, **config.model_dump())


def _check_set(name: str, suite: Suite) -> None:
    """Check that a model knows the options that the suite sets in every model, if another one does.

    Raises:
        UnetzooError: If it does not; the message names the models that do.
    """
    for option, value in suite.set.items():
        if option in model_info(name).options:
            continue
        others = list(dict.fromkeys(m.name for m in _named(suite.models) if option in model_info(m.name).options))
        if others:
            from unetzoo.report.words import listed

            raise UnetzooError(
                f"model {name!r}: unknown option {option!r}, which the suite's set gives to every model; give it to"
                f" {listed(others)} alone, as {{ name = {others[0]!r}, set = {{ {option} = {value!r} }} }} in models,"
                f" or leave {name!r} out"
            )


def _weights(config: ModelConfig) -> str:
    """Return a hash of a model's pretrained weights, '' if it has none.

    Raises:
        UnetzooError: If the weights are not available.
    """
    if config.pretrained is None:
        return ""
    from unetzoo.encoders.files import digest

    with _naming(config.name):
        return digest(*config.pretrained)


@contextmanager
def _naming(model: str) -> Iterator[None]:
    """Begin the errors of a block with the name of the model, unless they already do.

    Raises:
        UnetzooError: If the block does.
    """
    try:
        yield
    except UnetzooError as error:
        already = str(error).startswith(f"model {model!r}")
        raise UnetzooError(f"{error}" if already else f"model {model!r}: {error}") from None
