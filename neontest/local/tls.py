"""A self-signed certificate for local servers, so that strings with `sslmode=require` connect.

It proves nothing (no client verifies it): it lets clients that insist on TLS, and on channel binding, speak it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from neontest.local.account import ENVIRONMENT, Account
from neontest.local.once import once

CONFIG: Final = """\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
[extensions]
subjectAltName = DNS:localhost,DNS:*.localhost,IP:127.0.0.1
basicConstraints = critical,CA:FALSE
"""
DAYS: Final = 3650


def certificate(folder: Path, account: Account) -> dict[str, str] | None:
    """The settings that switch TLS on, with a certificate made once by the `openssl` program; None without it."""
    openssl = shutil.which("openssl", path=ENVIRONMENT["PATH"])
    if openssl is None and not folder.is_dir():
        return None

    def build(fresh: Path) -> None:
        (fresh / "config").write_text(CONFIG)
        command = [str(openssl), "req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-sha256", "-nodes", "-days", str(DAYS)]
        command += ["-config", "config", "-keyout", "server.key", "-out", "server.crt"]
        subprocess.run(
            command, cwd=fresh, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True
        )
        for path in (fresh / "server.key", fresh / "server.crt", fresh):
            path.chmod(0o700 if path == fresh else 0o600)
            account.give(path)

    try:
        once(folder, build)
    except subprocess.SubprocessError:
        return None
    return {"ssl": "on", "ssl_cert_file": f"{folder}/server.crt", "ssl_key_file": f"{folder}/server.key"}
