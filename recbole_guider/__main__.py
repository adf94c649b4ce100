"""Runs one model: ``python -m recbole_guider --model=BM3 --dataset=ml-100k --method=GUIDER``."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence

from recbole_guider.command_line import Parser, guarded, names_in, read_arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains and evaluates one model, as RecBole's ``run_recbole.py`` does; returns 0 or 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(lambda: _main(given))


def _main(given: list[str]) -> int:
    made = Parser(
        prog="python -m recbole_guider",
        description="Trains one backbone with one method on one data set.",
        epilog="Properties are written --key=value, for example --learning_rate=0.002.",
        allow_abbrev=False,
    )
    made.add_argument("--model", "-m", required=True, help="a backbone, such as BM3")
    made.add_argument("--dataset", "-d", default="ml-100k", help="default: %(default)s")
    made.add_argument("--method", help="a method, such as GUIDER (default: the properties')")
    made.add_argument("--config_files", action="append", help="your YAML files: a.yaml,b.yaml")
    options, properties = read_arguments(made, given)
    files = names_in(options.config_files)
    _check(options.model, options.dataset, options.method, files, properties)

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
    from recbole_guider.quick_start import run

    result = run(
        options.model, options.dataset, options.method, None, files, properties, saved=True
    )
    from tabulate import tabulate

    valid, test = result["best_valid_result"], result["test_result"]
    rows = [[name, f"{valid[name]:.4f}", f"{test[name]:.4f}"] for name in test]
    config, seconds = result["config"], result["seconds"]["total"]
    print(
        f"{config['model']} + {config['method']} on {config['dataset']}, seed {config['seed']}: "
        f"best epoch {result['best_epoch']} of {result['epochs']}, {seconds:.1f} s"
    )
    print(tabulate(rows, headers=["metric", "validation", "test"], disable_numparse=True))
    print(f"checkpoint: {result['model_file']}")
    return 0


def _check(
    model: str, dataset: str, method: str | None, files: list[str], properties: dict[str, object]
) -> None:
    """Refuses names and properties that cannot be used before torch and RecBole are imported."""
    from recbole_guider.property_layers import default_method, load_properties, resolve

    chosen = method
    for path in files:
        chosen = method or load_properties(path).get("method", chosen)
    resolve(model, chosen or default_method(), dataset, files=files, command_line=properties)


if __name__ == "__main__":
    sys.exit(main())
