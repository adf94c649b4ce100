"""Properties as layers of YAML: RecBole's own defaults, ours, and the user's, in one order.

Plain YAML and dictionaries; nothing here imports torch or recbole, so that planning a grid of
hundreds of cells stays instant. ``config.py`` hands the result to RecBole's ``Config``.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from recbole_guider.errors import InputError, nearest_name
from recbole_guider.property_rules import EACH, check_kind, checked

# Keys that describe a property file to its reader and are no properties themselves.
DESCRIPTIVE_KEYS = frozenset(
    {"about", "download", "how_to_get", "preparation", "published", "search", "valid"}
)


class _Loader(yaml.SafeLoader):
    """YAML without code execution in which 1e-3 is a number, as RecBole's users expect."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)$|^[-+]?(\d+\.\d*|\.\d+)$"),
    list("-+0123456789."),
)


@functools.cache
def properties_folder() -> Path:
    """Returns the folder of the property files: inside the installed package or in the checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "properties"
    return installed if installed.is_dir() else package.parent / "properties"


def names(kind: str) -> list[str]:
    """Returns the sorted names of one kind of property file (model, method, dataset or grid)."""
    folder = os.path.join(properties_folder(), kind)
    return sorted(one[:-5] for one in os.listdir(folder) if one.endswith(".yaml"))


def property_file(kind: str, name: str, where: str = "") -> Path:
    """Returns the property file of a named model, method, dataset or grid.

    ``where`` says in a message what named it.

    Raises:
        InputError: nothing of that kind has this name; the message holds the nearest known one.
    """
    known = names(kind)
    if name not in known:
        label = {"model": "backbone", "dataset": "data set"}.get(kind, kind)
        raise InputError(
            f"unknown {label} '{name}'",
            where=where,
            mend=f"{nearest_name(name, known)} ({label}s are the files of properties/{kind}/)",
        )
    return properties_folder() / kind / f"{name}.yaml"


def load_properties(path: str | Path) -> dict[str, Any]:
    """Reads one YAML file of ``key: value`` pairs.

    Raises:
        InputError: the file is missing, is no YAML, or is not a mapping.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(
            f"cannot be read ({reason})", where=path, mend="Check the path and the encoding."
        ) from error
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(
            f"is not valid YAML ({error.problem})",
            where=f"{path}:{line}",
            mend="Write one 'key: value' a line.",
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(
            "does not hold 'key: value' pairs", where=path, mend="Write one 'key: value' a line."
        )
    return content


def described(kind: str, name: str, key: str) -> Any:
    """Returns what a property file says under a descriptive key; None without file or key."""
    return load_properties(property_file(kind, name)).get(key) if name in names(kind) else None


def parse_value(text: str) -> Any:
    """Reads a command-line value as YAML (never as code): ``0.01``, ``[5, 20]``, ``true``, text."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        return text


def parse_overrides(arguments: Iterable[str]) -> dict[str, Any]:
    """Turns ``["--learning_rate=0.01"]`` into ``{"learning_rate": 0.01}``.

    Raises:
        InputError: an argument is not of the form ``--key=value``, or two give one key two values.
    """
    overrides: dict[str, Any] = {}
    for argument in arguments:
        match = re.match(r"^--([A-Za-z_][\w-]*)=(.*)$", argument, re.DOTALL)
        if match is None:
            raise InputError(
                f"cannot use the argument '{argument}'",
                mend="Write overrides as --key=value, for example --learning_rate=0.001.",
            )
        key, value = match.group(1), parse_value(match.group(2))
        if key in overrides and overrides[key] != value:
            raise InputError(
                f"is given twice, as {overrides[key]!r} and {value!r}",
                where=f"--{key}",
                mend="Keep one.",
            )
        overrides[key] = value
    return overrides


@functools.cache
def _recbole_folder() -> Path:
    spec = importlib.util.find_spec("recbole")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("recbole is not installed", mend="Run: pip install recbole==1.2.1")
    return Path(next(iter(spec.submodule_search_locations)))


@functools.cache
def _recbole_defaults() -> dict[str, Any]:
    folder = _recbole_folder() / "properties"
    layers = [load_properties(folder / "overall.yaml")]
    layers.append(load_properties(folder / "dataset" / "sample.yaml"))
    return {key: value for layer in layers for key, value in layer.items()}


@functools.cache
def _recbole_arguments() -> frozenset[str]:
    """Every key that RecBole lists, read from its argument file without importing RecBole."""
    path = _recbole_folder() / "utils" / "argument_list.py"
    spec = importlib.util.spec_from_file_location("_recbole_argument_list", path)
    if spec is None or spec.loader is None:
        raise InputError("is missing", where=path, mend="Run: pip install recbole==1.2.1")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lists = [value for name, value in vars(module).items() if name.endswith("_arguments")]
    return frozenset(key for one in lists for key in one)


@functools.cache
def _cached_content(kind: str, name: str) -> dict[str, Any]:
    path = properties_folder() / "overall.yaml" if kind == "overall" else property_file(kind, name)
    return load_properties(path)


@functools.cache
def lineage(kind: str, name: str) -> tuple[str, ...]:
    """Returns a file's name and those it ``extends``, the first ancestor first."""
    parent = _cached_content(kind, name).get("extends")
    return (*(lineage(kind, parent) if parent else ()), name)


def _own_layer(kind: str, name: str) -> dict[str, Any]:
    """What a file states itself; a variant states only what differs from its parent."""
    hidden = DESCRIPTIVE_KEYS | {"extends"}
    return {k: v for k, v in _cached_content(kind, name).items() if k not in hidden}


@functools.cache
def _cached_layer(kind: str, name: str) -> dict[str, Any]:
    return {k: v for one in lineage(kind, name) for k, v in _own_layer(kind, one).items()}


@functools.cache
def _cached_rules(kind: str, name: str) -> dict[str, str]:
    """What the ``valid`` section of a property file says its values may be."""
    contents = [_cached_content(kind, one) for one in lineage(kind, name)]
    return {k: v for content in contents for k, v in content.get("valid", {}).items()}


def _model_and_method(model: str, method: str) -> list[dict[str, Any]]:
    kinds = (("overall", ""), ("model", model), ("method", method))
    return [_cached_layer(kind, name) for kind, name in kinds]


def _of_dataset(model: str, method: str, dataset: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns the layers of a data set's property file, each with what a message calls it.

    A data set without one is a user's own and adds no layer. ``for_model`` and ``for_method`` hold
    what was chosen on its validation split for one backbone or one method; they count as part of
    the file, the method's on top. A variant takes over what was chosen for the method it extends,
    but for what the variant itself states.

    Raises:
        InputError: the file names an unknown model or method.
    """
    if dataset not in names("dataset"):
        return []
    where = f"{property_file('dataset', dataset)}: "
    layer = dict(_cached_layer("dataset", dataset))
    for_model = _chosen_for("model", layer, where)
    for_method = _chosen_for("method", layer, where)
    chosen: dict[str, Any] = {}
    for name in lineage("method", method):
        stated = _own_layer("method", name)
        chosen = {key: value for key, value in chosen.items() if key not in stated}
        chosen.update(for_method.get(name, {}))
    return [(where, one) for one in (layer, for_model.get(model, {}), chosen)]


def _chosen_for(kind: str, layer: dict[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """Takes ``for_model`` or ``for_method`` out of a data set's layer; all its names are known."""
    section, where = layer.pop(f"for_{kind}", {}), f"{where}for_{kind}"
    if not isinstance(section, dict) or not all(isinstance(v, dict) for v in section.values()):
        mend = f"Write for_{kind}: {{{names(kind)[0]}: {{learning_rate: 0.001}}}}."
        raise InputError("does not hold values by name", where=where, mend=mend)
    for name in section:
        property_file(kind, name, where)  # raises with the nearest name
    return section


def known_keys(model: str, method: str) -> frozenset[str]:
    """Returns every key that may be set for this combination, with any data set."""
    ours = [key for layer in _model_and_method(model, method) for key in layer]
    fixed = {"model", "method", "dataset", "config_files"}
    return frozenset(ours) | _recbole_arguments() | _recbole_defaults().keys() | fixed


# An entry of these mappings can be set without repeating the others.
_MERGED = frozenset({"train_neg_sample_args", "eval_args", "modality_weights"})


def lay_over(lower: dict[str, Any], upper: Mapping[str, Any]) -> None:
    """Updates ``lower`` in place; mappings are merged, so that one entry can be set alone."""
    for key, value in upper.items():
        below = lower.get(key)
        merge = isinstance(below, dict) and isinstance(value, dict) and key in _MERGED
        lower[key] = {**lower[key], **value} if merge else value


def resolve(
    model: str,
    method: str,
    dataset: str,
    *,
    files: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    command_line: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the properties of one run as plain, JSON-able values.

    Order, later wins: RecBole's defaults < overall < model < method < dataset < the user's files
    < ``overrides`` (a dictionary) < ``command_line``.

    Raises:
        InputError: an unknown model, method or key (with the nearest known name), or a value whose
            type cannot be meant or that the property's rule refuses, in the data set's file or
            after it.
    """
    rules = {
        **_cached_rules("overall", ""),
        **_cached_rules("model", model),
        **_cached_rules("method", method),
    }
    known = known_keys(model, method)
    resolved = dict(_recbole_defaults())

    def lay(layers: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Lays over what must hold known names, and values of the kind that stands below."""
        below = dict(resolved)
        for where, layer in layers:
            for key, value in layer.items():
                if key not in known:
                    raise InputError(
                        f"unknown property for {model} with method {method}",
                        where=f"{where}{key}",
                        mend=nearest_name(key, known),
                    )
                if not rules.get(key, "").startswith(EACH):
                    check_kind(value, below.get(key), f"{where}{key}")
            lay_over(resolved, layer)
            for key in layer.keys() & rules.keys():
                resolved[key] = checked(resolved[key], rules[key], f"{where}{key}")

    for layer in _model_and_method(model, method):
        lay_over(resolved, layer)
    lay(_of_dataset(model, method, dataset))
    of_user = [(f"{path}: ", load_properties(path)) for path in files]
    lay([*of_user, ("", dict(overrides or {})), ("--", dict(command_line or {}))])
    resolved.update(model=model, method=method, dataset=dataset)
    return resolved


def model_layer(model: str) -> dict[str, Any]:
    """Returns the properties of one backbone's own file."""
    return dict(_cached_layer("model", model))


def search_of(kind: str, name: str, backbone: str | None = None) -> dict[str, Any]:
    """Returns the ``search`` section of a backbone's or a method's property file.

    A variant without a section has that of the method it extends, but for what it states itself. A
    section's ``for_model`` holds what is searched with one backbone only, given by ``backbone``.
    """
    found: dict[str, Any] = {}
    for one in lineage(kind, name):
        stated = _own_layer(kind, one)
        section = _cached_content(kind, one).get("search")
        found = {key: values for key, values in found.items() if key not in stated}
        found = found if section is None else dict(section)
    for_model = found.pop("for_model", {})
    return {**found, **for_model.get(backbone, {})}


def default_method() -> str:
    """Returns the method of a run that names none."""
    return str(_cached_layer("overall", "")["method"])
