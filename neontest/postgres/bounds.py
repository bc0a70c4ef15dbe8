"""Which rows a partition's bound takes, as SQL. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from neontest.postgres.demand import Attach

_LOWER: Final = {"MINVALUE": ">=", "MAXVALUE": ">"}
_UPPER: Final = {"MINVALUE": "<", "MAXVALUE": "<="}
"""How the values before an infinite one are compared."""


def within(demand: Attach, parent: int, keys: Sequence[str]) -> str:
    """The condition of the bound: `keys` are the partition key's expressions, `parent` the partitioned table's oid."""
    if demand.how == "hash":
        modulus, remainder = demand.bound[0]
        return f"satisfies_hash_partition({parent}, {modulus}, {remainder}, {', '.join(keys)})"
    if demand.how == "list":
        values = [value for value in demand.bound[0] if value.upper() != "NULL"]
        among = [f"({keys[0]} IS NOT NULL AND {keys[0]} IN ({', '.join(values)}))"] if values else []
        null = [f"{keys[0]} IS NULL"] if len(values) < len(demand.bound[0]) else []
        return f"({' OR '.join(among + null)})"
    lower, upper = demand.bound
    given = [f"{key} IS NOT NULL" for key in keys]
    return f"({' AND '.join((*given, _edge(keys, lower, _LOWER, '>='), _edge(keys, upper, _UPPER, '<')))})"


def _edge(keys: Sequence[str], values: Sequence[str], infinite: dict[str, str], finite: str) -> str:
    """One end of a range; what follows the first infinite value says nothing."""
    for place, value in enumerate(values):
        if value.upper() in infinite:
            operator = infinite[value.upper()]
            if not place:
                return "true" if operator in (">=", "<=") else "false"
            return f"ROW({', '.join(keys[:place])}) {operator} ROW({', '.join(values[:place])})"
    return f"ROW({', '.join(keys)}) {finite} ROW({', '.join(values)})"
