from __future__ import annotations

from neontest.cli.main import main

if __name__ == "__main__":
    main()
