"""Fetching a data set's raw files from their official places, as its property file names them.

A fetch that was cut goes on where it stopped (HTTP ranges). A file takes its name only when its
length and its checksum are right. Where the place publishes no checksum, the one of the first
download is kept beside the file and holds from then on.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Callable
from urllib.parse import urlsplit

from tqdm import tqdm

from recbole_guider.data.fingerprint import file_hash
from recbole_guider.errors import InputError
from recbole_guider.property_layers import load_properties, names, property_file
from recbole_guider.replacing import replacing

_BLOCK = 1 << 18
_TIMEOUT = 30.0  # seconds without a byte
_ATTEMPTS = 5
_WAIT = 1.0  # seconds before the second attempt; doubled each time
_PARTIAL, _VALIDATOR, _HASHES = ".part", ".validator", ".checksums"


@dataclass(frozen=True)
class RemoteFile:
    """A file of an official place.

    Attributes:
        url: http or https.
        sha256: its published checksum, or None.
        size: its length in bytes, or None if not known beforehand.
    """

    url: str
    sha256: str | None = None
    size: int | None = None

    @property
    def name(self) -> str:
        """The last part of the address."""
        return PurePosixPath(urlsplit(self.url).path).name


@dataclass(frozen=True)
class Plan:
    """What to fetch for a data set and what to make of it.

    Attributes:
        source: the kind of raw data, a source of ``prepare``.
        files: what to fetch.
        folder: where in an unpacked archive the raw files lie.
        options: further options of the source.
    """

    source: str
    files: tuple[RemoteFile, ...]
    folder: str = "."
    options: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """Returns the source's options as command-line arguments."""
        given = self.options.items()
        return [part for key, value in given for part in (f"--{key}", str(value))]


def plan_of(name: str) -> Plan:
    """Returns the ``download`` section of a data set's property file.

    Raises:
        InputError: the data set is unknown, or nothing can be fetched for it.
    """
    if name not in names("dataset"):
        property_file("dataset", name)  # raises with the nearest name
    content = load_properties(property_file("dataset", name))
    section = content.get("download")
    if not isinstance(section, dict):
        raise InputError(
            f"data set '{name}' has no official place to fetch it from",
            mend=str(content.get("how_to_get", "It is made on first use.")),
        )
    files = tuple(RemoteFile(**one) for one in section["files"])
    return Plan(section["source"], files, section.get("folder", "."), section.get("options", {}))


def fetch_all(plan: Plan, folder: Path, tell: Callable[[str], None] = print) -> Path:
    """Fetches a plan's files into a folder; returns the folder that the source reads.

    Archives (``.zip``) are unpacked beside themselves. What is there already is checked, not
    fetched again.

    Raises:
        InputError: a file cannot be fetched, is not what its checksum says, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(error, folder) from error
    for file in plan.files:
        path = fetch(file, folder, tell)
        if path.suffix == ".zip":
            _unpack(path, folder)
    return folder / plan.folder


def fetch(file: RemoteFile, folder: Path, tell: Callable[[str], None] = print) -> Path:
    """Fetches one file, from where an earlier attempt stopped; returns its path.

    Raises:
        InputError: as ``fetch_all``; what has arrived so far stays for the next attempt, unless it
            cannot be part of the file.
    """
    path = folder / file.name
    expected = file.sha256 or _kept_hashes(folder).get(file.name)
    if path.is_file():
        _check_hash(path, expected, file)
        tell(f"{file.name}: is there already")
        return path
    partial = path.with_name(path.name + _PARTIAL)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _continue(file, partial)
            break
        except _CutError as cut:
            if attempt == _ATTEMPTS:
                raise InputError(
                    f"the connection was cut {_ATTEMPTS} times ({cut}), {_size(partial):,} bytes "
                    "have arrived",
                    where=file.url,
                    mend="Run the command again: it goes on from there.",
                ) from cut
            time.sleep(_WAIT * 2 ** (attempt - 1))
    digest = _check_hash(partial, expected, file)
    partial.replace(path)
    _validator(partial).unlink(missing_ok=True)
    _keep_hash(folder, file.name, digest)
    note = "" if file.sha256 else "; no checksum is published, this one is kept"
    tell(f"{file.name}: {path.stat().st_size:,} bytes, SHA-256 {digest}{note}")
    return path


class _CutError(Exception):
    """The connection ended before the file did."""


def _continue(file: RemoteFile, partial: Path) -> None:
    """Fetches what the partial file lacks."""
    have = _size(partial)
    if file.size is not None and have == file.size:
        return
    request = urllib.request.Request(file.url, headers={"Accept-Encoding": "identity"})
    version = _validator(partial)
    if have and (file.sha256 or version.is_file()):  # else nothing would tell a changed file
        request.add_header("Range", f"bytes={have}-")
        if version.is_file():  # a file that has changed since is sent whole
            request.add_header("If-Range", version.read_text(encoding="utf-8"))
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and _told_total(error.headers) == have:
                return  # everything has arrived
            if error.code == 416:
                partial.unlink()
                raise _CutError("what had arrived was longer than the file") from error
            if error.code >= 500 or error.code == 429:
                raise _CutError(f"answer {error.code}") from error
            raise InputError(
                f"the place answers {error.code} ({error.reason})",
                where=file.url,
                mend=_by_hand(partial.parent),
            ) from error
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise _CutError(str(error) or type(error).__name__) from error
    except urllib.error.URLError as error:
        if have:  # it was there before
            raise _CutError(str(error.reason)) from error
        raise InputError(
            f"cannot be reached ({error.reason})",
            where=file.url,
            mend=f"Check the network and http_proxy. {_by_hand(partial.parent)}",
        ) from error
    with response:
        resumed = response.status == 206
        _remember_validator(response.headers, partial)
        _receive(response, partial, have if resumed else 0, file)


def _receive(response: Any, partial: Path, have: int, file: RemoteFile) -> None:
    """Appends the answer to the partial file, or begins it anew where ``have`` is 0."""
    length = response.headers.get("Content-Length")
    total = have + int(length) if length and length.isdigit() else file.size
    if total is not None and file.size not in (None, total):
        raise InputError(
            f"is {total:,} bytes long; expected {file.size:,}",
            where=file.url,
            mend="The place holds another version; say so in an issue.",
        )
    _check_space(partial.parent, (total or 0) - have)
    bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=file.name, disable=None)
    try:
        with partial.open("ab" if have else "wb") as stream, bar:
            while True:
                try:
                    block = response.read(_BLOCK)
                except (OSError, http.client.HTTPException) as error:
                    raise _CutError(str(error) or type(error).__name__) from error
                if not block:
                    break
                stream.write(block)
                bar.update(len(block))
    except OSError as error:
        raise _unwritable(error, partial) from error
    if total is not None and _size(partial) != total:
        raise _CutError(f"{_size(partial):,} of {total:,} bytes")


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{needed:,} bytes are to come, {free:,} are free",
            where=folder,
            mend="Free space on its disk, or choose another folder with --data_path=FOLDER.",
        )


def _check_hash(path: Path, expected: str | None, file: RemoteFile) -> str:
    """Returns the file's hash; removes a partial file with a wrong one."""
    found = file_hash(path)
    if expected is not None and found != expected:
        whose = "published" if file.sha256 else "kept from the first download"
        if path.suffix == _PARTIAL:
            path.unlink()
            _validator(path).unlink(missing_ok=True)
            mend = "Run the command again; if it fails again, the place holds another version."
        else:
            mend = "Move the file away and run the command again."
        raise InputError(
            f"has SHA-256 {found}; expected {expected}, as {whose}", where=path, mend=mend
        )
    return found


def _unpack(archive: Path, folder: Path) -> None:
    """Unpacks an archive; members that would leave the folder are refused."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.namelist():
                if not (folder / member).resolve().is_relative_to(folder.resolve()):
                    raise InputError(
                        f"its member '{member}' lies outside the folder", where=archive,
                        mend="Do not use this file.",
                    )  # fmt: skip
            opened.extractall(folder)
    except zipfile.BadZipFile as error:
        raise InputError(
            f"is no archive ({error})", where=archive, mend="Remove it and run the command again."
        ) from error
    except OSError as error:
        raise _unwritable(error, folder) from error


def _validator(partial: Path) -> Path:
    return partial.with_name(partial.name + _VALIDATOR)


def _remember_validator(headers: Any, partial: Path) -> None:
    """Keeps what tells this version of the remote file from another."""
    tag = headers.get("ETag", "")
    version = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")
    with contextlib.suppress(OSError):
        if version:
            _validator(partial).write_text(version, encoding="utf-8")
        else:
            _validator(partial).unlink(missing_ok=True)


def _told_total(headers: Any) -> int:
    """Reads the whole length from ``Content-Range: bytes */LENGTH``; -1 if it is not told."""
    told = str(headers.get("Content-Range", "")).rpartition("/")[2]
    return int(told) if told.isdigit() else -1


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _kept_hashes(folder: Path) -> dict[str, str]:
    try:
        content = json.loads((folder / _HASHES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in content.items()} if isinstance(content, dict) else {}


def _keep_hash(folder: Path, name: str, digest: str) -> None:
    hashes = {**_kept_hashes(folder), name: digest}
    with replacing(folder / _HASHES) as stream:
        stream.write((json.dumps(hashes, indent=2, sort_keys=True) + "\n").encode())


def _by_hand(folder: Path) -> str:
    return f"Or fetch the file by hand into {folder} and run the command again."


def _unwritable(error: OSError, place: Path) -> InputError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return InputError(
        f"cannot be written ({error.strerror or error})",
        where=place,
        mend="Free space on its disk and run the command again: it goes on from there."
        if full else "Choose another folder with --data_path=FOLDER.",
    )  # fmt: skip
