"""The command line as a person uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import unetzoo
from support.command import Done, run
from unetzoo.cli.main import build


def start(*arguments: object, cwd: Path | None = None) -> Done:
    """Run the command line in a process of its own, which takes seconds to import torch."""
    command = [sys.executable, "-m", "unetzoo.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=cwd)


def test_list() -> None:
    done = start("list", "unet_d?")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == unetzoo.list_models("unet_d?")
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows] == unetzoo.list_models()
    assert all(row["paper"]["title"] for row in rows)


def test_list_filters() -> None:
    def names(*filters: str) -> list[str]:
        return [row["name"] for row in json.loads(run("list", *filters, "--json").stdout)]

    nested = names("--family", "nested")
    assert {"unetpp", "unet3plus"} <= set(nested)
    assert "unet" not in nested
    assert "unetpp" in names("--family", "nested", "--year", "2018")
    assert "unetpp" not in names("--family", "nested", "--year", "2019-")
    assert names("--block", "recurrent") == ["r2attention_unet", "r2unet"]
    small = json.loads(run("list", "--parameters", "-300k", "--json").stdout)
    assert small
    assert all(row["parameters"] <= 300_000 for row in small)
    assert names("unet", "--parameters", "31M-31.1M") == ["unet"]


def test_list_and_help_do_not_import_torch() -> None:
    for arguments in (["list"], ["--help"], ["bench", "--help"], ["export", "--help"]):
        code = f"import sys; sys.argv = ['unetzoo', *{arguments}]\nfrom unetzoo.cli.main import main\n"
        code += "try: main()\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "False", arguments


def test_help_imports_no_command_and_says_the_same() -> None:
    code = "import sys; sys.argv = ['unetzoo', '--help']\nfrom unetzoo.cli.main import main\n"
    code += "try: main()\nexcept SystemExit: pass\nprint('pydantic' in sys.modules, 'unetzoo.cli.bench' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"
    whole, light = (CliRunner().invoke(app, ["--help"], prog_name="unetzoo") for app in (build(), build("")))
    assert light.output == whole.output
    assert "Train and measure" in light.output


@pytest.mark.parametrize("command", ["list", "show", "bench", "report", "compare"])
def test_help_has_an_example(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"unetzoo {command}" in " ".join(done.stdout.split())


def test_show() -> None:
    done = run("show", "unet_paper", "--size", 572, "--in-channels", 1, "--num-classes", 2)
    assert done.returncode == 0
    for word in (
        "1505.04597",
        "jvanvugt/pytorch-unet",
        "golden file",
        "31,030,658",
        "2x388x388",
        "1024x28x28",
        "he_normal",
    ):
        assert word in done.stdout
    shown = run("show", "unet", "--set", "up=bilinear", "--set", "width=4").stdout
    assert "bilinear" in shown
    assert "with its registered width, up the same function as" in shown
    shown = run("show", "unetr_2d").stdout
    assert "\nthe same function as" in shown
    assert "(96, 96)" not in shown  # its default img_size is not listed as a change


WRONG = {
    "list none*": ["no model matches 'none*'"],
    "list --family nestd": ["--family 'nestd'", "did you mean nested"],
    "list --block doubel": ["--block 'doubel'", "did you mean double"],
    "list --year 20x": ["--year '20x'", "MIN-MAX"],
    "list --parameters 3M-1M": ["--parameters '3M-1M'", "the first number is above the second"],
    "list --year 1990": ["these filters together"],
    "show unett": ["'unett'", "did you mean unet"],
    "show unet --set up=bilnear": ["up = 'bilnear'", "bilinear"],
    "show unet --set width": ["--set 'width'", "OPTION=VALUE"],
    "show unet_paper --size 100": ["188, 204, 220", "100x100"],
    "bench none.toml": ["none.toml: cannot be read"],
    "bench typo.toml": ["typo.toml: unknown option 'train.step'", "did you mean steps"],
    "bench broken.toml": ["broken.toml: not valid TOML"],
    "bench --models unett": ["unknown model 'unett'"],
    "bench --models ,": ["models = []"],
    "bench --models unet --set widht=3": ["'unet'", "'widht'", "did you mean width"],
    "bench --data nowhere": [
        "'nowhere' is neither a folder, a CSV of pairs, a COCO file (.json), a dataset.toml nor a"
    ],
    "bench --data half": ["half: there is only images/, without its counterpart"],
    "bench --out file": ["cannot be written"],
    "bench --retry all": ["--retry 'all'", "failed"],
    "bench --import none.py": ["none.py: no such file"],
    "report nowhere": ["nowhere"],
    "report half": ["records"],
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_input_is_one_line_and_exit_code_2(line: str, tmp_path: Path) -> None:
    (tmp_path / "typo.toml").write_text("models = ['unet']\n[train]\nstep = 3\n")
    (tmp_path / "broken.toml").write_text("models = [")
    (tmp_path / "half" / "images").mkdir(parents=True)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "half" / "images" / "a.png")
    (tmp_path / "file").write_text("")
    done = run(*line.split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("error: ")
    for word in WRONG[line]:
        assert word in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_readmes_own_models(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    code = next(block for block in readme.split("```python\n") if block.startswith("# my_models.py")).split("```")[0]
    (tmp_path / "my_models.py").write_text(code)
    listed = run("list", "*_*", "--import", "my_models.py", cwd=tmp_path).stdout
    assert "my_unet" in listed
    assert "unet_narrow_bilinear" in listed
    assert "Base class" not in listed  # nn.Module's description is not the model's
    shown = run("show", "my_unet", "--import", "my_models.py", "--set", "width=5", "--size", 16, cwd=tmp_path)
    assert "1x16x16" in shown.stdout, shown.stderr


def test_from_a_folder_of_images_to_a_report_with_a_failure_in_it(tmp_path: Path) -> None:
    cells = unetzoo.create_dataset("cells", n_train=8, n_val=1, n_test=1, size=48)
    for split in cells.splits.values():
        for key in split:
            image, mask = cells.read(key)
            for folder, pixels in (("images", 255 * image[0]), ("masks", 255 * mask)):
                (tmp_path / "mine" / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "mine" / folder / f"{key}.png")
    (tmp_path / "my_models.py").write_text(
        "import unetzoo\nimport support.quick_timings\n"
        "@unetzoo.register_model\ndef my_broken(in_channels, num_classes, width=3):\n    return None\n"
    )
    command = "bench --data mine --models unet_d2,my_broken --import my_models.py --set width=3 --steps 3 --seeds 1"
    done = run(*command.split(), cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "1 of 7 trials failed" in done.stderr
    out = tmp_path / "runs" / "mine"
    assert f"report: {Path('runs') / 'mine' / 'index.html'}" in done.stdout
    page = (out / "index.html").read_text()
    assert "my_broken" in page
    assert "unet_d2" in page
    assert (out / "results.csv").read_text().count("\n") == 8
    again = run(*command.split(), cwd=tmp_path)
    assert again.returncode == 1
    assert "0 trials to run, 7 already done" in again.stdout
    before = (out / "index.html").read_bytes()
    assert run("report", out).returncode == 0
    assert (out / "index.html").read_bytes() == before


def test_help_of_predict_has_examples_and_does_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom unetzoo.cli.main import main\ntry: main()\nexcept SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, "predict", "--help"], capture_output=True, text=True)
    assert "unetzoo predict model.safetensors" in " ".join(done.stdout.split())
    assert done.stdout.splitlines()[-1] == "False"
