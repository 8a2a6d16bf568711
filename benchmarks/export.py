"""The table of exports in ``reports/zoo``: every entry through ONNX Runtime and OpenVINO, against torch in float32.

    python benchmarks/export.py                     # check new or changed entries, then write the page again
    python benchmarks/export.py --only unet,u2net   # check only these
    python benchmarks/export.py --list              # print what does not equal torch

Entries are narrow and have random weights: the graph does not depend on them. A process of its own checks a few
entries and saves each at once to ``exports.jsonl``, a line per entry and runtime: interrupt with Ctrl-C and run again
to continue. An entry is checked again if it failed, or its options, its version, torch or a runtime changed. Several
of these commands may run at once with disjoint ``--only``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from unetzoo._util.atomic import write_atomic
from unetzoo._util.versions import installed_version
from unetzoo.errors import UnetzooError, nearest, one_line
from unetzoo.gallery.exports import EXPORTS, equal, read_checks
from unetzoo.gallery.measured import ExportCheck
from unetzoo.models.factory import resolve_model
from unetzoo.models.registry import entries, model_info

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = ("onnxruntime", "openvino")
VERSIONS = ("torch", *BACKENDS)
CHUNK = 12  # entries per process
LIMIT = 30.0  # minutes per entry
WIDTH = 8


def options(name: str) -> dict[str, Any]:
    """Return options that make an entry narrow, as the tests do."""
    sys.path[:0] = [str(ROOT / "tests")]
    from support.entries import narrow  # type: ignore[import-not-found]

    return narrow(name, width=WIDTH)


def key_of(name: str) -> str:
    """Return a hash of everything that the checks of an entry depend on."""
    config = resolve_model(name, options=options(name))
    parts = [config.model_dump(), model_info(name).fingerprint(), *map(installed_version, VERSIONS)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def check(name: str, key: str) -> list[ExportCheck]:
    """Export one entry and compare it in each runtime; failures are told in the result."""
    import torch

    from unetzoo.export.graph import trace
    from unetzoo.export.module import Exported
    from unetzoo.export.runtimes import write
    from unetzoo.export.verify import compare

    versions = {package: installed_version(package) for package in VERSIONS}
    about: dict[str, Any] = {"name": name, "key": key, "versions": versions}
    torch.manual_seed(0)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            config = resolve_model(name, num_classes=2, options=options(name))
            model = config.build().eval()
            graph = trace(model, config.in_channels, (256, 256))
            about |= {"sides": graph.sides.words, "free": graph.batched and graph.sides.fixed is None}
            write(graph.program, "onnx", Path(folder))
        except Exception as error:  # a network and the exporters may raise anything
            return [ExportCheck(**about, backend=backend, failed=one_line(error)[:300]) for backend in BACKENDS]
        exported = Exported(Path(folder) / "model.onnx", "onnx", graph.sides, batched=graph.batched)
        for backend in BACKENDS:
            try:
                seen = compare(model, exported, config.in_channels, backend)
            except Exception as error:
                found.append(ExportCheck(**about, backend=backend, failed=one_line(error)[:300]))
                continue
            absolute = max(each.absolute for each in seen.differences)
            shapes = [each.shape for each in seen.differences]
            worst = {"absolute": absolute, "relative": seen.worst.relative, "shapes": shapes}
            found.append(ExportCheck(**about, backend=backend, **worst))
    return found


def _here(names: list[str], minutes: float) -> None:
    """Check entries in this process and print a line of JSON for each runtime."""

    def late(*_: object) -> None:
        raise TimeoutError(f"took more than {minutes:g} minutes")

    signal.signal(signal.SIGALRM, late)
    for name in names:
        signal.alarm(round(60 * minutes))
        try:
            found = check(name, key_of(name))
        finally:
            signal.alarm(0)
        for each in found:
            print(each.model_dump_json(exclude_defaults=True), flush=True)


def _apart(names: list[str], file: Path, minutes: float) -> None:
    """Check entries in a process of their own, adding each line to the file as it comes."""
    call = [sys.executable, "-W", "ignore", __file__, "--minutes", f"{minutes:g}", "--here", ",".join(names)]
    environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    done = set()
    with subprocess.Popen(  # noqa: S603
        call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        for line in process.stdout or ():
            if line.startswith("{"):
                found = ExportCheck.from_json(line, "exports")
                done.add(found.name)
                _add(file, found)
                print(_line(found), flush=True)
    for name in names if process.returncode else ():
        if name not in done:
            for backend in BACKENDS:
                why = f"its process ended with {process.returncode}"
                _add(file, ExportCheck(name=name, key=key_of(name), backend=backend, failed=why))
            break  # the others are checked the next time


def _add(file: Path, found: ExportCheck) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(found.model_dump_json(exclude_defaults=True) + "\n")


def _line(found: ExportCheck) -> str:
    if found.failed:
        return f"{found.name} {found.backend}: failed: {found.failed}"
    return f"{found.name} {found.backend}: {found.relative:.1e} {'' if equal(found) else 'DIFFERS '}({found.sides})"


def run(names: list[str], folder: Path, minutes: float) -> int:
    """Check what is missing or outdated and write the page; return the exit code."""
    from unetzoo.gallery.page import read_measurements, write_zoo

    file = folder / EXPORTS
    known = read_checks(folder)
    now = {name: key_of(name) for name in names}
    wanted = [
        name
        for name in names
        if any(not (old := known.get((name, b))) or old.key != now[name] or not equal(old) for b in BACKENDS)
    ]
    code = 0
    try:
        for start in range(0, len(wanted), CHUNK):
            print(f"[{start}/{len(wanted)}] {', '.join(wanted[start : start + CHUNK])} ...", flush=True)
            _apart(wanted[start : start + CHUNK], file, minutes)
    except KeyboardInterrupt:
        print("interrupted; run again to go on", flush=True)
        code = 130
    sort(file)
    print(write_zoo(folder, entries(), read_measurements(folder), (folder / "parity.md").exists()))
    return code


def sort(file: Path) -> None:
    """Keep the last line of each entry and runtime, sorted."""
    found = read_checks(file.parent)
    write_atomic(file, "".join(found[key].model_dump_json(exclude_defaults=True) + "\n" for key in sorted(found)))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "reports/zoo", help="the folder (default: reports/zoo)")
    parser.add_argument("--only", metavar="A,B", help="check only these entries")
    parser.add_argument("--list", action="store_true", help="print what does not equal torch, and check nothing")
    parser.add_argument("--minutes", type=float, default=LIMIT, help="for an entry, at most (default: %(default)g)")
    parser.add_argument("--here", metavar="A,B", help=argparse.SUPPRESS)  # used by `_apart`
    args = parser.parse_args(argv)
    try:
        if args.here:
            _here(args.here.split(","), args.minutes)
            return 0
        if args.list:
            print(*(_line(found) for found in read_checks(args.out).values() if not equal(found)), sep="\n")
            return 0
        known = entries()
        names = args.only.split(",") if args.only else [n for n, entry in known.items() if entry.family != "own"]
        for name in names:
            if name not in known:
                raise UnetzooError(f"--only {name!r} is not a model; {nearest(name, known)}")
        return run(names, args.out, args.minutes)
    except UnetzooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
