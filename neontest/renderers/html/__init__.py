"""The report as one page that needs nothing else: no network, no other file, and no script to be read.

`page.css` and `page.js` lie beside this module and are put into the page. The script only adds the picture of the
run, and the filter of the findings; every text is in the markup.
"""

from __future__ import annotations

from neontest.renderers.html.page import render

__all__ = ["render"]
