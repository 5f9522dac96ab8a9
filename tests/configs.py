"""Configurations of published language models, in sizes and kinds as their publishers give them, nothing else of the files kept."""

import json
from pathlib import Path
from typing import Any

from advisor.measure.architecture.config import read_architecture
from advisor.schema.language import Architecture

FOLDER = Path(__file__).parent / "data" / "configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def config_of(name: str, **changes: Any) -> dict[str, Any]:
    """Return a configuration with other values for some keys; those of a text part, where there is one."""
    config: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    config.get("text_config", config).update(changes)
    return config


def write(folder: Path, config: dict[str, Any]) -> Path:
    """Write a configuration into a folder, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return path


def architecture_of(name: str) -> Architecture:
    """Return what one of the configurations describes."""
    return read_architecture(FOLDER / f"{name}.json")


def described(folder: Path, name: str, **changes: Any) -> Architecture:
    """Return what a configuration with other values for some keys describes."""
    return read_architecture(write(folder, config_of(name, **changes)))
