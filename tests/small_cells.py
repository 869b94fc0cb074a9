"""Cells for tests, made as `bench run` makes them."""

from typing import Any

from savo_bench.bench import options, resolving
from savo_bench.bench.cells import Cell


def opted(**given: Any) -> options.Options:
    usual: dict[str, Any] = {"algos": "td3", "envs": "restricted-hopper"}
    return options.Options(**usual | given)


def cells(**given) -> tuple[Cell, ...]:
    return resolving.cells(opted(**given))


def variants(algos: str, **given) -> list[str]:
    return [cell.variant for cell in cells(algos=algos, **given)]


def one(**given) -> Cell:
    (cell,) = cells(**given)
    return cell
