"""The card of an exported model: what it is and how to run it, in plain English."""

from __future__ import annotations

from unetzoo.export.runtimes import FORMATS, INPUT, OUTPUT
from unetzoo.export.sidecar import FILE_NAME, SideCar

CALLS = {
    "onnx": 'onnxruntime.InferenceSession("model.onnx").run(None, {"images": images})[0]',
    "openvino": 'openvino.Core().compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(images)[0]',
    "pt2": 'torch.export.load("model.pt2").module()(images)',
}


def card(found: SideCar) -> str:
    """Return the card as Markdown."""
    model, data = found.header["model"], found.header.get("data")
    title = f"# {model['name']}, exported to {FORMATS[found.to].words}"
    about = "A segmentation network of the library unetzoo."
    if isinstance(data, dict) and data.get("name"):
        described = f" ({data['description']})" if data.get("description") else ""
        about += f" It was trained on `{data['name']}`{described}."
    elif not found.trained:
        about += " **It was not trained on images to segment: its masks mean nothing.**"
    blocks = [title, about, "## Input", _input(found), "## Output", _output(found), "## Run it", _run(found)]
    blocks += ["## Checked", _checked(found), "## Made of", _made(found)]
    return "\n\n".join(blocks) + "\n"


def _input(found: SideCar) -> str:
    shape = " x ".join(map(str, found.input.shape))
    lines = [f"- `{INPUT}`: float32, {shape}.", f"- Height and width: {found.sides.words}."]
    if found.range is not None:
        low, high = found.range
        lines.append(
            f"- Stored pixel values from {low:g} to {high:g} become 0 to 1: `(pixels - {low:g}) / {high - low:g}`."
        )
    else:
        lines.append("- Pixels are numbers from 0 to 1: 8-bit values are divided by 255, 16-bit values by 65535.")
    downscale = (found.header.get("expected") or {}).get("downscale") or 1
    if downscale > 1:
        lines.append(f"- Blocks of {downscale} x {downscale} pixels are averaged first.")
    if found.normalization is not None:
        mean, std = (", ".join(f"{v:g}" for v in found.normalization[key]) for key in ("mean", "std"))
        lines.append(f"- Then the mean of each channel is subtracted ({mean}) and the rest divided by ({std}).")
    return "\n".join(lines)


def _output(found: SideCar) -> str:
    channels = found.output.shape[1]
    shape = " x ".join(map(str, found.output.shape))
    how = (
        "the sigmoid gives the probability of the foreground"
        if channels == 1
        else "the softmax over the classes gives probabilities"
    )
    lines = [f"- `{OUTPUT}`: float32 logits, {shape}; {how}."]
    if found.valid is not None:
        lines.append("- The output is smaller than the input, whose border is context; mirror the image there.")
    for index, each in enumerate(found.classes):
        stored = [f"{each.value} in masks"] if each.value is not None else []
        stored += [f"colour {each.colour}"] if each.colour is not None else []
        lines.append(f"- Class {index}: {each.name}" + (f" ({', '.join(stored)})" if stored else ""))
    return "\n".join(lines)


def _run(found: SideCar) -> str:
    tiles = f"{found.tile} px with {found.overlap} px shared"
    return (
        f"```python\nlogits = {CALLS[found.to]}\n```\n\n"
        f"or, with unetzoo, images of any size, tile by tile ({tiles}):\n\n"
        "```sh\nunetzoo predict THIS_FOLDER images/ --out masks\n```"
    )


def _checked(found: SideCar) -> str:
    return "\n".join(f"- {each.words} (allowed: {each.tolerance:g})." for each in found.verification)


def _made(found: SideCar) -> str:
    model = found.header["model"]
    channels = f"{model['in_channels']} input and {model['num_classes']} output channels"
    lines = [f"- Model `{model['name']}`, {channels}."]
    lines += [f"- Paper: {paper}." for paper in found.papers]
    if found.weights is not None:
        trial = f" of trial {found.header['trial']}" if found.header.get("trial") else ""
        lines.append(f"- Weights: {found.weights['file']}{trial}, SHA-256 {found.weights['sha256']}.")
    lines.append("- Versions: " + ", ".join(f"{name} {version}" for name, version in found.versions.items()) + ".")
    lines.append(f"- Everything else, the options and checksums among it: `{FILE_NAME}`.")
    return "\n".join(lines)
