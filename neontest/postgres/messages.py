"""What an error says, without the values that it quotes. Pure.

A message mixes the words of whoever wrote it with names and with values of rows, and nothing marks which is which: a
`RAISE` may say anything. So what is kept is what is known: words that Postgres itself uses, and names behind a word
such as `column`. All else becomes `…`.
"""

from __future__ import annotations

import re
from typing import Final

CUT: Final = "…"
_NAMED: Final = "|".join(
    (
        *("aggregate", "collation", "column", "conversion", "constraint", "database", "domain", "enum", "extension"),
        *("function", "index", "language", "operator", "parameter", "partition", "policy", "procedure", "publication"),
        *("relation", "role", "routine", "rule", "schema", "sequence", "server", "statistics", "subscription"),
        *("table", "tablespace", "trigger", "type", "view"),
    )
)
"""What a name can stand behind."""
_NAME: Final = r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)(?:\.(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*))*(?:\([\w\s,.\[\]"]*\))?'
_SAID_OF_KEYS: Final = r"(?= (?:already exists|is not present|is still referenced|is duplicated|conflicts with))"
_KEY: Final = re.compile(rf"(Key \([^=]*\)\s*=\s*\().*(\)){_SAID_OF_KEYS}|(Key \([^=]*\)\s*=\s*\().*", re.DOTALL)
_PIECE: Final = re.compile(
    r"(?P<key>Key \([\w\s,\".():]*\)\s*=\s*\(…\))"
    rf"|(?P<named>\b(?:{_NAMED})s? (?!(?:is|does|of|has|already|cannot|must|on|in|for|to)\b){_NAME})"
    r'|(?P<quoted>"(?:[^"]|"")*(?:"|\Z))|(?P<word>[^\W\d_]+)(?![\w@$])'
    r'|(?P<blank>[\s,.:;()…/-])|(?P<other>[^\s,.:;()"…/-]+)'
)
_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """
    a aborted access after all already alter an and any are argument arguments as at attempted available be
    because before between block both but by can canceled canceling cannot cascade cast casted cause changed
    changing character check child clause cluster column columns commands comparable concurrently conflict
    conflicting conflicts connection constraint contained contains conversion could create data database deadlock
    default defined definition delete deleted denied depend dependent depends detected did different distinct
    division do does domain drop due duplicate each either end enough error exclusion exist existing exists
    expression extension failed failing failure feature field first for foreign found from function further
    generated given grant group has have here identical identity if immutable implement implemented in
    incompatible index inherited inherits input insert inserted inside integer into invalid is it key keys
    language limit lock long longer many marked match matching materialized maximum member method missing more
    must name named near need needed new no non not null number object objects of on one only open operator or
    order other out outside overlaps owner parameter parent partition partitioned partitions pending permission
    policy present primary privilege privileges process query range read recovery reference referenced references
    referencing refers refresh reindex relation remaining required requires returned role row rows run schema
    security sequence serialize server set should size snapshot some specified sql statement still subquery
    superuser supported syntax table tables temporary terminating text than that the them there this time timeout
    to too transaction trigger triggers truncate type types unable unique unrecognized unsupported update updated
    use used user uses using vacuum valid validate value values variable version view violated violates violating
    waiting was were when which while with within without would you zero
    """,
    )
)
"""Words of Postgres's own messages, as far as migrations meet them."""


def without_values(message: str, *, names: bool = True) -> str:
    """The message with `…` for every word that is neither Postgres's own nor a name behind a word that says so.

    `names` is False for what somebody else wrote, who may mean anything by `type x`.
    """
    text = _KEY.sub(lambda found: f"{found[1] or found[3]}…)", message)
    said: list[str] = []
    for piece in _PIECE.finditer(text):
        known = piece["word"] is not None and piece["word"].lower() in _WORDS
        named = (piece["key"] or piece["named"]) if names else None
        kept = named or piece["blank"] or (piece["word"] if known else None)
        said.append(kept if kept is not None else CUT)
    told = re.sub(rf"{CUT}(?:[\s,.:;/-]*{CUT})+", CUT, "".join(said))
    return " ".join(told.split())
