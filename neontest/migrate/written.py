"""What looks at transactions tell whoever reads the schema next, who then need not look at all of it."""

from __future__ import annotations

from collections.abc import Collection

from neontest.migrate import reports


class Written:
    """What transactions were looked at that have written and ended, from one `taken` to the next."""

    def __init__(self) -> None:
        self.counted = False
        """What they make and delete is to be told."""
        self._open: dict[int, reports.Looked] = {}
        self._ended: list[reports.Looked] = []
        self._oids: set[int] = set()
        self._left: set[int] = set()
        """What was open when others were taken: not all that it has locked will be told again."""

    def take(self, report: reports.Looked | reports.Ended) -> None:
        match report:
            case reports.Looked():
                self._oids.update(each.oid for each in report.relations)
                if report.transaction:
                    self._open[report.transaction] = report
            case reports.Ended():
                last = self._open.pop(report.transaction, None)
                if last is not None and report.known and last.made is not None:
                    self._ended.append(last)

    def taken(self, database: str, *, counted: bool) -> tuple[Collection[int], Collection[int], int, int]:
        """Of those in this database how the server knows them, the relations that they have locked, and how many rows
        they had made and deleted in the catalogs of relations when they were looked at last. `counted`: that is to be
        told of later ones, too; where it was not, there is nothing to know of them."""
        self.counted = counted
        known = {each.xid: each for each in self._ended if each.xid is not None and each.database == database}
        known = {xid: each for xid, each in known.items() if xid not in self._left}
        made, deleted = (sum(getattr(each, what) for each in known.values()) for what in ("made", "deleted"))
        found = tuple(known), tuple(self._oids), made, deleted
        self._left |= {each.xid for each in self._open.values() if each.xid is not None}
        self._open.clear()
        self._ended.clear()
        self._oids.clear()
        return found
