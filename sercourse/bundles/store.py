"""Bundles as folders: which there are, verify, load, save."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sercourse import files
from sercourse.bundles import schema
from sercourse.bundles.bundle import Bundle, Member
from sercourse.bundles.schema import read_json

SCHEMA = 2
INDEX = "bundle.json"
DEFAULT_MODEL = "any-voice"
LARGEST_FILE = 2**31  # [bytes]; protocol buffers allow no more


def available() -> list[Path]:
    """Return the folders of the bundles that come with the project, by name."""
    return sorted(path.parent for path in (files.home() / "models").glob(f"*/{INDEX}"))


def find(model: str | Path) -> Path:
    """Return the folder of a bundle, named as those in `models/` or by its path.

    Raises
    ------
    FileNotFoundError
        If there is none; the sentence names those that there are.
    """
    folder = files.user_path(model)
    files.put_back(folder)
    if (folder / INDEX).is_file():
        return folder
    known = {path.name: path for path in available()}
    if str(model) not in known:
        names = ", ".join(known) or "none"
        raise FileNotFoundError(
            f"no model {str(model)!r}: give the folder of a bundle or one of the names {names}; "
            "a clone of the project has more than an installed package"
        )
    return known[str(model)]


def load(model: str | Path = DEFAULT_MODEL) -> Bundle:
    """Verify a bundle and return it, ready to predict.

    Parameters
    ----------
    model : str or path
        A name in `models/`, or a folder.

    Raises
    ------
    FileNotFoundError
        If there is no such bundle, or one of its files is missing.
    ValueError
        If it is of another schema or one of its files has changed.
    """
    folder = find(model)
    info = read_json(folder / INDEX)
    if info.get("schema") != SCHEMA:
        raise ValueError(
            f"{folder / INDEX} follows schema {info.get('schema')!r:.20} and this version "
            f"of sercourse reads schema {SCHEMA}: get a model and a version of the same time"
        )
    read_json(folder / INDEX, schema.INDEX)
    _verify(folder, info)
    members = [Member(folder, {**each, "labels": info["labels"]}) for each in info["members"]]
    gender = Member(folder, info["gender"]) if "gender" in info else None
    return Bundle(folder, info, tuple(members), gender)


def save(
    folder: str | Path, *, info: Mapping[str, Any], contents: Mapping[str, bytes | str]
) -> Path:
    """Write a bundle, so that a reader sees the old one or the complete new one.

    Parameters
    ----------
    folder : path
        An earlier bundle there is replaced, and what else lies beside it stays; a folder that is
        no bundle is refused.
    info : mapping
        Content of `bundle.json`, without schema and hashes.
    contents : mapping from file name to bytes or text
        All other files.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder holds something else.
    """
    folder, earlier = files.user_path(folder), {INDEX}
    with suppress(OSError, ValueError, LookupError, TypeError):  # a damaged index tells of no file
        earlier |= set(read_json(folder / INDEX)["files"])
    with files.atomic_folder(folder, replaces=INDEX) as temporary:
        for name, content in contents.items():
            data = content.encode("utf-8") if isinstance(content, str) else content
            (temporary / name).write_bytes(data)
        hashes = {name: files.content_hash(temporary / name) for name in sorted(contents)}
        files.write_json(temporary / INDEX, {"schema": SCHEMA, **info, "files": hashes})
        for path in folder.glob("*"):
            if path.name not in earlier and not (temporary / path.name).exists():
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, temporary / path.name)
    return folder


def renew(bundle: Bundle, contents: Mapping[str, bytes | str], **info: Any) -> Path:
    """Write a bundle anew with some other files and entries of its index; the rest stays.

    Parameters
    ----------
    bundle : Bundle
    contents : mapping from file name to bytes or text
        Files that are added or replaced.
    **info
        Entries of `bundle.json` that are added or replaced.

    Returns
    -------
    Path
        The folder.
    """
    kept = {name: (bundle.folder / name).read_bytes() for name in bundle.info["files"]}
    old = {name: value for name, value in bundle.info.items() if name not in ("schema", "files")}
    return save(bundle.folder, info={**old, **info}, contents={**kept, **contents})


def _verify(folder: Path, info: Mapping[str, Any]) -> None:
    """Refuse an index that contradicts itself, and files that are missing or have changed."""
    index, members, hashes = folder / INDEX, info["members"], info["files"]
    models = [*members, *([info["gender"]] if "gender" in info else [])]
    named = [each["files"] for each in models]
    contradictions = {
        "labels": len(set(info["labels"])) < len(info["labels"]),
        "weights": len(info.get("weights") or members) != len(members),
        "sample_rate": len({each["sample_rate"] for each in models}) > 1,
        "voice": any(("voice" in each) != ("enrolled" in each) for each in named),
        "model": not all("model" in each for each in named),
        "speech": any("speech" in each and "voice" not in each["files"] for each in models),
        "files": not {name for each in named for name in each.values()} <= set(hashes),
    }
    for field, wrong in contradictions.items():
        if wrong:
            raise ValueError(f"{index}: {field} contradicts the rest of it: get the model again")
    for name, wanted in hashes.items():
        path = folder / name
        if path.name != name:
            raise ValueError(f"{index}: files names one outside the bundle, {name!r}")
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing from the bundle: get the model again")
        if path.stat().st_size > LARGEST_FILE or files.content_hash(path) != wanted:
            raise ValueError(f"{path} has changed since the bundle was made: get the model again")
