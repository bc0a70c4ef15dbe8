"""SQL and messages without the values in them."""

from __future__ import annotations

import pytest

from neontest.postgres.literals import without_literals
from neontest.postgres.messages import without_values

STATEMENTS = {
    "": "",
    "SELECT a FROM t": "SELECT a FROM t",
    "INSERT INTO t VALUES ('s3cret', 's''3cret', 42, -1.5e-3, .5, 0x1F, 1_000)": "INSERT INTO t VALUES ('…', '…', '…',"
    " -'…', '…', '…', '…')",
    "SELECT E's3cret\\' s3cret', B'101', x'ff', U&'s3cret\\0061', N's3cret'": "SELECT '…', '…', '…', '…', '…'",
    "SELECT $$s3cret$$, $q$ 's3cret' $$ s3cret $q$": "SELECT '…', '…'",
    "DO $do$ BEGIN PERFORM 's3cret'; END $do$": "DO '…'",
    "SELECT 's3cret'\n  's3cret'": "SELECT '…'\n  '…'",
    "ALTER TABLE t ADD a varchar(255) DEFAULT 's3cret', ADD b numeric(10, 2) DEFAULT 7": "ALTER TABLE t ADD a"
    " varchar(255) DEFAULT '…', ADD b numeric(10, 2) DEFAULT '…'",
    "ALTER TABLE t ADD c character varying(3)[], ADD d timestamp(3) with time zone": "ALTER TABLE t ADD"
    " c character varying(3)[], ADD d timestamp(3) with time zone",
    "ALTER TABLE t ADD e geometry(Point, 4326)": "ALTER TABLE t ADD e geometry(Point, 4326)",
    "SELECT a -- s3cret\nFROM t /* s3cret /* nested */ s3cret */ WHERE b IS NULL AND c": "SELECT a\nFROM t WHERE b IS"
    " NULL AND c",
    "COPY t (a, b) FROM STDIN;\n1\ts3cret\n2\ts3cret\n\\.\nSELECT 's3cret'": "COPY t (a, b) FROM STDIN;\nSELECT '…'",
    "copy t from stdin (format csv);\ns3cret,s3cret": "copy t from stdin (format csv);",
    "UPDATE t SET a = %(a)s, b = %s, c = $1": "UPDATE t SET a = %(a)s, b = %s, c = $1",
    'ALTER TABLE "it\'s 3" RENAME "s" TO t_2024': 'ALTER TABLE "it\'s 3" RENAME "s" TO t_2024',
    # What cannot be read ends there: nobody knows any more what is inside of quotes and what is not.
    "UPDATE t SET a = 's3cret": "UPDATE t SET a = …",
    "UPDATE t SET a = E's3cret\\' s3cret": "UPDATE t SET a = E …",
    "UPDATE t SET a = 's3cret\\' s3cret', b = 'x'": "UPDATE t SET a = …",
    "UPDATE t SET a = $$s3cret": "UPDATE t SET a = …",
    "SELECT 1 /* s3cret": "SELECT '…' …",
}


@pytest.mark.parametrize(("sql", "told"), STATEMENTS.items(), ids=range(len(STATEMENTS)))
def test_statements_lose_their_values_and_nothing_else(sql: str, told: str) -> None:
    assert without_literals(sql) == told


def test_what_is_left_can_be_redacted_again() -> None:
    for told in STATEMENTS.values():
        if not told.endswith("…") and "STDIN" not in told.upper():  # whose rows would come next
            assert without_literals(told) == told


MESSAGES = {
    'duplicate key value violates unique constraint "uq_mail" (Key (mail, lower(a::text))=(a), (b)) already exists.)': (
        'duplicate key value violates unique constraint "uq_mail" (Key (mail, lower(a::text))=(…) already exists.)'
    ),
    'update on table "a" violates foreign key constraint "b" (Key (x)=(s3cret) is not present in table "u".)': (
        'update on table "a" violates foreign key constraint "b" (Key (x)=(…) is not present in table "u".)'
    ),
    'column "mail" of relation "user" contains null values': 'column "mail" of relation "user" contains null values',
    "cannot drop table users because other objects depend on it": "cannot drop table users because other objects depend"
    " on it",
    "function f(integer, text) does not exist": "function f(integer, text) does not exist",
    "canceling statement due to lock timeout": "canceling statement due to lock timeout",
    'invalid input syntax for type integer: "s3cret"': "invalid input syntax for type integer: …",
    'syntax error at or near "s3cret"': "syntax error at or near …",
    "user bob@example.com has no phone: 555-1234, s3cret": "user … has no …",
    "s3cret": "…",
    'the "unfinished s3cret': "the …",
}


def test_of_what_somebody_else_wrote_no_name_is_kept() -> None:
    assert without_values('role s3cret is no type "s3cret" of column s3cret', names=False) == "… is no … of …"


@pytest.mark.parametrize(("message", "told"), MESSAGES.items(), ids=range(len(MESSAGES)))
def test_messages_keep_the_words_of_postgres_and_names(message: str, told: str) -> None:
    assert without_values(message) == told
