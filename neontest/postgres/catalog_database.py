"""What a snapshot reads of the database itself, and of what lives in no schema."""

from __future__ import annotations

from typing import Final

from neontest.postgres.kind import (
    DISABLED,
    FIRES,
    PROCEDURE,
    Kind,
    acl,
    choice,
    flag,
    in_database,
    owner,
    quote,
    sorted_list,
    without_secrets,
)

DATABASE: Final = (
    Kind(
        name="database",
        catalog="pg_database",
        source="pg_database x WHERE x.datname = current_database()",
        oid="x.oid",
        on="''",
        # Nameless: a branch's database may be called anything.
        title="''",
        bare=False,
        facts={
            "connection limit": "nullif(x.datconnlimit, -1)",
            "template": flag("x.datistemplate"),
            **acl("x.datacl", "d", "x.datdba"),
            "owner": "pg_get_userbyid(x.datdba)",
        },
        public="CONNECT, TEMPORARY",
    ),
    Kind(
        name="setting",
        catalog="pg_db_role_setting",
        source="""pg_db_role_setting x, unnest(x.setconfig) o
          WHERE x.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))""",
        oid="0",
        on="""CASE WHEN x.setrole = 0 THEN 'database' ELSE 'role ' || pg_get_userbyid(x.setrole)
          || CASE WHEN x.setdatabase = 0 THEN '' ELSE ' in the database' END END""",
        title="split_part(o, '=', 1)",
        bare=False,
        facts={"value": "substr(o, strpos(o, '=') + 1)"},
    ),
    Kind(
        name="schema",
        catalog="pg_namespace",
        source="space s JOIN pg_namespace x ON x.oid = s.oid"
        " WHERE x.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_namespace'::regclass)",
        oid="x.oid",
        on="''",
        title="x.nspname",
        facts={**owner("nsp"), **acl("x.nspacl", "n", "x.nspowner")},
    ),
    Kind(
        name="extension",
        catalog="pg_extension",
        source="pg_extension x",
        oid="x.oid",
        on="''",
        title="x.extname",
        facts={
            "schema": "(SELECT n.nspname FROM pg_namespace n WHERE n.oid = x.extnamespace)",
            "version": "x.extversion",
            **owner("ext"),
        },
    ),
    Kind(
        name="default privileges",
        catalog="pg_default_acl",
        source="pg_default_acl x LEFT JOIN pg_namespace n ON n.oid = x.defaclnamespace",
        oid="x.oid",
        on=f"coalesce({quote('n.nspname')}, '')",
        title="CASE x.defaclobjtype::text WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'"
        " WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' WHEN 'L' THEN 'large objects' ELSE x.defaclobjtype::text END"
        f" || ' of ' || {quote('pg_get_userbyid(x.defaclrole)')}",
        bare=False,
        facts={"acl": "x.defaclacl::text"},
    ),
    in_database(
        "language",
        "pg_language",
        "x.lanname",
        {
            "handler": PROCEDURE.format("lanplcallfoid"),
            "inline": PROCEDURE.format("laninline"),
            "validator": PROCEDURE.format("lanvalidator"),
            "trusted": flag("x.lanpltrusted"),
            **owner("lan"),
            **acl("x.lanacl", "l", "x.lanowner"),
        },
        public="USAGE",
    ),
    in_database(
        "cast",
        "pg_cast",
        "format_type(x.castsource, NULL) || ' as ' || format_type(x.casttarget, NULL)",
        {
            "function": PROCEDURE.format("castfunc"),
            "context": choice("x.castcontext", a="assignment", i="implicit"),
            "method": choice("x.castmethod", i="input and output", b="binary"),
        },
        bare=False,
    ),
    in_database(
        "transform",
        "pg_transform",
        "format_type(x.trftype, NULL) || ' for ' || (SELECT lanname FROM pg_language l WHERE l.oid = x.trflang)",
        {"from sql": PROCEDURE.format("trffromsql"), "to sql": PROCEDURE.format("trftosql")},
        bare=False,
    ),
    in_database(
        "access method",
        "pg_am",
        "x.amname",
        {"handler": "x.amhandler::regprocedure::text", "type": choice("x.amtype", i="index", t="table")},
    ),
    in_database(
        "event trigger",
        "pg_event_trigger",
        "x.evtname",
        {
            "event": "x.evtevent",
            "function": "x.evtfoid::regprocedure::text",
            "tags": sorted_list("x.evttags"),
            "disabled": DISABLED.format("evtenabled"),
            "fires": FIRES.format("evtenabled"),
            **owner("evt"),
        },
    ),
    Kind(
        name="publication",
        catalog="pg_publication",
        source="pg_publication x",
        oid="x.oid",
        on="''",
        title="x.pubname",
        facts={
            "all tables": flag("x.puballtables"),
            "publishes": "concat_ws(', ', CASE WHEN x.pubinsert THEN 'insert' END,"
            " CASE WHEN x.pubupdate THEN 'update' END, CASE"
            " WHEN x.pubdelete THEN 'delete' END, CASE WHEN x.pubtruncate THEN 'truncate' END)",
            "via partition root": flag("x.pubviaroot"),
            "generated columns": choice("(to_jsonb(x)->>'pubgencols')", s="stored"),
            "tables": """(SELECT string_agg(p.prrelid::regclass::text
                || coalesce(' (' || (SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a
                                     WHERE a.attrelid = p.prrelid AND a.attnum = ANY (p.prattrs::int2[])) || ')', '')
                || coalesce(' where ' || pg_get_expr(p.prqual, p.prrelid), ''), ', ' ORDER BY p.prrelid::regclass::text)
              FROM pg_publication_rel p WHERE p.prpubid = x.oid)""",
            "schemas": """(SELECT string_agg(p.pnnspid::regnamespace::text, ', ' ORDER BY p.pnnspid::regnamespace::text)
              FROM pg_publication_namespace p WHERE p.pnpubid = x.oid)""",
            **owner("pub"),
        },
        older={
            150000: {
                "tables": "(SELECT string_agg(p.prrelid::regclass::text, ', ' ORDER BY p.prrelid::regclass::text)"
                " FROM pg_publication_rel p WHERE p.prpubid = x.oid)",
                "schemas": "NULL",
            }
        },
    ),
    Kind(
        name="subscription",
        catalog="pg_subscription",
        # Only these columns may be read by everyone; the connection string holds a password.
        source="(SELECT oid, subname, subowner, subenabled, subpublications, subslotname, subdbid"
        " FROM pg_subscription) x WHERE x.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        oid="x.oid",
        on="''",
        title="x.subname",
        facts={
            "disabled": flag("NOT x.subenabled"),
            "publications": sorted_list("x.subpublications"),
            "slot": "x.subslotname",
            **owner("sub"),
        },
    ),
    in_database(
        "foreign data wrapper",
        "pg_foreign_data_wrapper",
        "x.fdwname",
        {
            "handler": PROCEDURE.format("fdwhandler"),
            "validator": PROCEDURE.format("fdwvalidator"),
            "foreign options": without_secrets("x.fdwoptions"),
            **owner("fdw"),
            **acl("x.fdwacl", "F", "x.fdwowner"),
        },
    ),
    in_database(
        "foreign server",
        "pg_foreign_server",
        "x.srvname",
        {
            "wrapper": "(SELECT f.fdwname FROM pg_foreign_data_wrapper f WHERE f.oid = x.srvfdw)",
            "type": "x.srvtype",
            "version": "x.srvversion",
            "foreign options": without_secrets("x.srvoptions"),
            **owner("srv"),
            **acl("x.srvacl", "S", "x.srvowner"),
        },
    ),
    Kind(
        name="user mapping",
        catalog="pg_user_mapping",
        source="pg_user_mappings x",
        oid="0",
        on=quote("x.srvname"),
        title="x.usename",
        facts={"foreign options": without_secrets("x.umoptions")},
    ),
)
