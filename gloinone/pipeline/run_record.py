"""run.json: what was asked, with what, where, and what came of it; the report's head is made from it."""

import contextlib
import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gloinone
from gloinone.errors import UsageError
from gloinone.pipeline.atomic import write_atomic
from gloinone.pipeline.layout import RUN, RUNS
from gloinone.pipeline.state import Json, State
from gloinone.pipeline.tasks import Method, RunConfig

FORMAT = 1
EXPORT = "export.json"
TRAINED_ON = ("training_data", "split")
"""Of a model's card: they may name slides and folders of the same hospital."""
PROGRAM = "gloinone"
PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "openslide-python", "openslide-bin")


def record_path(config: RunConfig) -> Path:
    """Where the record of a run lies: shards have their own each."""
    if config.shard is None:
        return config.out / RUN
    return config.out / RUNS / f"{config.shard.index}-of-{config.shard.count}.json"


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_record(
    config: RunConfig, method: Method, started: str, states: Sequence[State], exit_status: int | None
) -> None:
    """Write the record of a run; ``exit_status`` is None while it goes on. Raises OutputError."""
    record = {
        "program": PROGRAM,  # first: by this the folder is known for one of ours, and is not walked
        "format": FORMAT,
        "version": gloinone.__version__,
        "status": _status(exit_status),
        "exit_status": exit_status,
        "started": started,
        "finished": None if exit_status is None else now(),
        "pseudonyms": config.hides_names,
        "arguments": list(config.arguments),
        "settings": {**method.settings, **asdict(config.save), "mpp": config.mpp},
        "shard": None if config.shard is None else asdict(config.shard),
        "device": method.device or ", ".join(sorted({state.device for state in states} - {""})),
        "models": recorded_models(config, method),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": _versions(),
        "counts": dict(sorted(Counter(state.status for state in states).items())),
        "slides": [_slide(state) for state in states],
    }
    write_atomic(record_path(config), (json.dumps(record, indent=1) + "\n").encode())


def write_export_record(out: Path, started: str, settings: Mapping[str, Json]) -> None:
    """That OUT was exported, as a record beside those of the runs: the latest of them, with these settings.

    Raises OutputError.
    """
    latest = max(read_records(out), key=lambda record: str(record.get("started", "")), default={})
    said = {
        "arguments": ["export"],
        "settings": {**latest.get("settings", {}), **settings},
        "shard": None,
        "started": started,
        "finished": now(),
    }
    write_atomic(out / RUNS / EXPORT, (json.dumps({**latest, **said}, indent=1) + "\n").encode())


def read_records(out: Path) -> list[dict[str, Any]]:
    """Records of the run and of every shard; those that cannot be read are left out."""
    records: list[dict[str, Any]] = []
    for path in (out / RUN, *sorted((out / RUNS).glob("*.json"))):
        with contextlib.suppress(OSError, ValueError):
            record = json.loads(path.read_bytes())
            records += [record] if isinstance(record, dict) else []
    return records


def arguments_for_pending(out: Path) -> tuple[str, ...]:
    """Arguments of ``gloinone`` that run the slides that are pending, otherwise as the latest shard was run."""
    shards = [record for record in read_records(out) if record.get("shard")]
    latest = max(shards, key=lambda record: str(record.get("started", "")), default={})
    arguments = [str(argument) for argument in latest.get("arguments", ())]
    for place, argument in reversed(list(enumerate(arguments))):
        if argument == "--shard":
            del arguments[place : place + 2]
        elif argument.startswith("--shard=") or argument == "--pending":
            del arguments[place]
    return ("run", "--pending", *(arguments[1:] or ("IN", str(out))))


def has_pseudonyms(out: Path) -> bool:
    """Whether slides and patients bear pseudonyms there."""
    return any(bool(record.get("pseudonyms")) for record in read_records(out))


def check_naming(out: Path, hides_names: bool) -> None:
    """Raises UsageError where OUT names slides in one way and this run would in the other."""
    if any(bool(record.get("pseudonyms")) != hides_names for record in read_records(out)):
        raise UsageError(
            f"{out}: holds results under the slides' own names; with --pseudonyms give another folder"
            if hides_names
            else f"{out}: its slides bear pseudonyms; pass the same --pseudonyms, or give another folder"
        )


def recorded_models(config: RunConfig, method: Method) -> dict[str, Mapping[str, object]]:
    """What is recorded of each model; with pseudonyms not the names of the slides it was trained on."""
    hidden = TRAINED_ON if config.hides_names else ()
    return {
        task: {key: value for key, value in card.items() if key not in hidden}
        for task, card in method.cards.items()
    }


def models_of(
    records: Sequence[Mapping[str, Any]], made_with: Mapping[str, str]
) -> Mapping[str, Mapping[str, object]]:
    """What the latest record with these weights says of each model; empty where none is left.

    ``made_with``: of a slide's basis.
    """
    latest_first = sorted(records, key=lambda record: str(record.get("started", "")), reverse=True)
    cards = (_cards(record) for record in latest_first)
    return next((models for models in cards if _identities(models) == dict(made_with)), {})


def _cards(record: Mapping[str, Any]) -> dict[str, Mapping[str, object]]:
    models = record.get("models")
    items = models.items() if isinstance(models, Mapping) else ()
    return {str(task): card for task, card in items if isinstance(card, Mapping)}


def _identities(models: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """As in a slide's basis: of several detectors, "detector", "detector 2" and on, joined."""
    found: dict[str, list[str]] = {}
    for task, card in models.items():
        found.setdefault(task.partition(" ")[0], []).append(
            f"{card.get('name')}@{str(card.get('sha256'))[:12]}"
        )
    return {task: " + ".join(names) for task, names in found.items()}


def _status(exit_status: int | None) -> str:
    if exit_status is None:
        return "running"
    return "finished" if exit_status < 2 else "stopped"


def _slide(state: State) -> Mapping[str, object]:
    return {
        "slide": state.slide,
        "status": state.status,
        "mpp": float(state.row["mpp"]) if state.row.get("mpp") else None,
        "mpp_source": state.row.get("mpp_source") or None,
        "device": state.device,
        "times": dict(state.times),
    }


def _versions() -> dict[str, str]:
    """Of what results may depend on; read from the installed packages, none is imported."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
