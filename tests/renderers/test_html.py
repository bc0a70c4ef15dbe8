"""The page is read as a person reads it, in a browser of the system's; without one, only its text is looked at."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from neontest.record import Lock, Statement, Visit, Walk
from neontest.renderers import html
from neontest.renderers.html.markup import escaped, script_json, tag
from neontest.renderers.html.timeline import DRAWN, offsets_of, timeline
from neontest.renderers.words import clean
from neontest.report import Report
from tests.renderers.conftest import Golden
from tests.renderers.reports import HOSTILE, REPORTS, crowd, lock, small, stair, statement, whole

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
browsing = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="Chromium and its driver are not here (apt-get install chromium chromium-driver)"
)
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,1000",
)  # fmt: skip
MARKER = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>"
SPELLINGS = (
    MARKER,
    f"</script>{MARKER}",
    f"--></style></title></textarea>{MARKER}",
    f"\"'>{MARKER}",
    '" onmouseover="window.pwned=1" autofocus onfocus="window.pwned=1',
    "javascript:window.pwned=1",
    "<!--<script>",
    "${window.pwned=1}{{window.pwned=1}}",
    "\u2028window.pwned=1\u2029//",
    "<svg/onload=window.pwned=1>",
)
RARE = (MARKER, "<!--<script>", "\u2028window.pwned=1\u2029//")
"""Others like these are always given to a browser."""


class Elements(HTMLParser):
    """Every element and attribute of a page, and its text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._in = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((name, dict(attributes)))
        self._in = name

    def handle_endtag(self, name: str) -> None:
        self._in = ""

    def handle_data(self, text: str) -> None:
        if self._in not in ("script", "style"):
            self.text += text


def spelled(report: Report, text: str) -> Report:
    """The report with another text in the place of every hostile one."""

    def replaced(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(HOSTILE, text)
        if isinstance(value, dict):
            return {key: replaced(each) for key, each in value.items()}
        return [replaced(each) for each in value] if isinstance(value, list | tuple) else value

    return msgspec.convert(replaced(msgspec.to_builtins(report)), Report)


def large(revisions: int = 300, each: int = 3) -> Report:
    """300 revisions with 5,400 statements and twice as many locks, and a finding of each revision."""
    base = crowd(revisions, 1)
    walks = []
    for number, id_ in enumerate(base.history.pending):
        took = tuple(
            statement(
                f"ALTER TABLE table_{number % 40} ADD COLUMN added_by_{number}_{place} VARCHAR(120) DEFAULT 'nothing'",
                0.01 * (1 + (number * place) % 7),
                lock(f"public.table_{number % 40}", held=0.3),
                lock(f"public.table_{number % 40}_pkey", held=0.3, kind="index"),
                revision=id_,
            )
            for place in range(each)
        )
        changed = tuple(f"column table_{number % 40}.added_by_{number}_{place}: added" for place in range(each))
        up = Visit(direction="upgrade", from_="x", to=id_, seconds=0.4, statements=took, schema_changes=changed)
        down = Visit(direction="downgrade", from_=id_, to="x", seconds=0.4, statements=took, schema_changes=changed)
        walks.append(stair(id_, (up, down, up)))
    parts = [(walk.visits[0], walk.visits[1], walk.visits[2]) for walk in walks]
    return msgspec.structs.replace(base, walks=(whole(*parts, head=base.history.heads[0]), *walks))


@pytest.mark.parametrize("name", small())
def test_the_page_is_as_it_was_looked_at(name: str, golden: Golden) -> None:
    """Without the style sheet, the script and their digests, which the browser looks at below."""
    text = html.render(REPORTS[name]())
    text = re.sub(r"(?s)<style>.*?</style>", "<style></style>", text)
    text = re.sub(r"(?s)<script>.*?</script>", "<script></script>", text)
    text = re.sub(r"sha256-[\w+/]+=*", "sha256-", text)
    golden(f"{name}.html", text.replace("><section", ">\n<section").replace("</tr><tr", "</tr>\n<tr"))


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_is_the_same_each_time_and_names_no_address(name: str) -> None:
    text = html.render(REPORTS[name]())
    assert text == html.render(REPORTS[name]())
    for element, attributes in Elements(text).seen:
        assert element not in {"link", "iframe", "img", "object", "embed", "base"}, element
        assert not {"src", "srcset", "style", "action", "formaction", "ping"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
        assert not [each for each in attributes if each.startswith("on")]


@pytest.mark.parametrize("text", SPELLINGS)
def test_data_never_become_markup(text: str) -> None:
    plain = html.render(spelled(REPORTS["hostile"](), "plain"))
    given = html.render(spelled(REPORTS["hostile"](), text))
    outline = [(name, sorted(attributes)) for name, attributes in Elements(plain).seen]
    assert [(name, sorted(attributes)) for name, attributes in Elements(given).seen] == outline
    assert "<!--" not in given
    assert given.count("</script>") == plain.count("</script>") == 2


def test_every_text_is_there_to_be_read_without_a_script() -> None:
    report = REPORTS["locks"]()
    text = Elements(html.render(report)).text
    for visit in report.walks[0].visits:
        for each in visit.statements:
            assert each.sql in text
    for said in ("ACCESS EXCLUSIVE on user, 9.1 s", "at most 0.50 s", "rewrote user", "type integer → bigint"):
        assert said in text
    finding = report.findings[0]
    assert finding.message in text
    assert finding.hint in text
    assert "A lock kept everybody else from reading or writing a table" in text


def test_lost_rows_and_differences_stand_side_by_side() -> None:
    text = html.render(REPORTS["data_lost"]())
    assert '<td>user.phone</td><td class="n">48,112</td><td class="n">0</td>' in text
    assert "48,112 values are gone in user" in text
    text = html.render(REPORTS["findings"]())
    assert "before the upgrade" in text
    assert "after the downgrade" in text
    assert "<ins>yes</ins>" in text


def test_escaping_leaves_no_character_that_means_something() -> None:
    assert escaped("<a href='x' b=\"y\">&amp;\x1b") == "&lt;a href=&#x27;x&#x27; b=&quot;y&quot;&gt;&amp;amp;�"
    assert tag("p", "<b>", title='"><b>') == '<p title="&quot;&gt;&lt;b&gt;">&lt;b&gt;</p>'
    made = script_json({"names": ["</script><!--<&>\u2028\u2029", ("\x1b\u202e", 7)]})
    assert not re.search("[<>&\u2028\u2029]", made)
    assert json.loads(made) == {"names": ["</script><!--<&>��", ["��", 7]]}


def test_statements_stand_as_far_apart_as_their_locks_tell() -> None:
    took = (
        Statement(sql="a", seconds=1.0, transaction=1, locks=(Lock(relation="t", mode="SHARE", held_seconds=10.0),)),
        Statement(sql="b", seconds=1.0, transaction=1),
        Statement(sql="c", seconds=1.0, transaction=1, locks=(Lock(relation="u", mode="SHARE", held_seconds=4.0),)),
        Statement(sql="d", seconds=2.0),
    )
    visit = Visit(direction="upgrade", from_=None, to="r", seconds=15.0, statements=took)
    assert offsets_of(visit) == ([0.0, 1.0, 6.0, 10.0], 12.0)
    report = msgspec.structs.replace(REPORTS["clean"](), walks=(Walk(kind="whole", visits=(visit, visit)),))
    laid = timeline(report)
    assert [each.start for each in laid.placed] == [3.0, 4.0, 9.0, 13.0, 18.0, 19.0, 24.0, 28.0]
    assert [(each.start, each.end) for each in laid.spans] == [(0.0, 15.0), (15.0, 30.0)]


def test_a_bound_of_a_lock_moves_no_statement() -> None:
    bound = Lock(relation="t", mode="SHARE", held_seconds=50.0, seen="commit")
    took = (Statement(sql="a", seconds=1.0, transaction=1, locks=(bound,)), Statement(sql="b", seconds=1.0))
    assert offsets_of(Visit(direction="upgrade", from_=None, to="r", statements=took)) == ([0.0, 1.0], 2.0)


def test_a_large_run_stays_a_small_page_and_says_what_it_leaves_out() -> None:
    report = large()
    assert sum(len(visit.statements) for walk in report.walks for visit in walk.visits) == 5_400
    text = html.render(report)
    assert len(text.encode()) < 3_000_000
    assert re.search(r"[\d,]+ quicker statements not listed here: the JSON report has them", text)
    huge = msgspec.structs.replace(report, walks=report.walks * 3)
    text = html.render(huge)
    assert len(text.encode()) < 5_000_000
    assert f"Not drawn: {5_400 * 3 - DRAWN:,} quicker statements" in text


def test_the_style_sheet_and_the_script_are_in_the_package() -> None:
    folder = Path(html.__file__).parent
    assert sorted(each.name for each in folder.iterdir() if each.suffix in (".css", ".js")) == ["page.css", "page.js"]


class Page:
    """One page in the browser."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver = driver
        self._folder = folder

    def open(self, text: str) -> Page:
        file = self._folder / "page.html"
        file.write_bytes(text.encode())
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(file.as_uri())
        return self

    def js(self, script: str, *given: Any) -> Any:
        return self.driver.execute_script(script, *given)

    def settled(self, script: str) -> Any:
        """What the expression comes to after the picture was drawn again."""
        return self.driver.execute_async_script(
            f"const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done({script})))"
        )

    def keys(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def errors(self) -> list[str]:
        return [each["message"] for each in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the page was opened."""
        logged = [json.loads(each["message"])["message"] for each in self.driver.get_log("performance")]
        return [each["params"]["request"]["url"] for each in logged if each["method"] == "Network.requestWillBeSent"]

    def emulate(self, **features: str) -> None:
        given = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": given})


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with a new and empty profile; it is ended with the module."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(executable_path=str(DRIVER)))
    try:
        yield running
    finally:
        running.quit()


@pytest.fixture
def page(driver: Any, tmp_path: Path) -> Page:
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    return Page(driver, tmp_path)


MARKS = (
    "[...document.querySelectorAll('#timeline-picture .mark')]"
    ".map(each => ['class', 'x', 'width'].map(name => each.getAttribute(name)).join(' '))"
)
FOCUS = "document.querySelector('#timeline-picture').focus()"
SHOWN = "return [...document.querySelectorAll('article.finding')].filter(each => each.offsetParent).length"


@browsing
@pytest.mark.parametrize("name", REPORTS)
def test_no_page_has_an_error_or_asks_for_anything(page: Page, name: str) -> None:
    page.open(html.render(REPORTS[name]()))
    assert page.js("return document.title").startswith("neontest: ")
    assert page.settled("document.documentElement.scrollWidth <= innerWidth")
    assert page.errors() == []
    assert [each for each in page.requests() if not each.endswith("/page.html")] == []


@browsing
@pytest.mark.parametrize("kept", [True, False], ids=["with the policy", "without it"])
def test_the_policy_stops_what_would_break_in(page: Page, kept: bool) -> None:
    """Markup that somehow got into the page runs and sends nothing; without the policy it would."""
    asked: list[bytes] = []

    def answer(server: socket.socket) -> None:
        with contextlib.suppress(OSError), server.accept()[0] as client:
            client.settimeout(5)
            asked.append(client.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        broken = f"<script>window.pwned=1</script><img src={address}>"
        text = html.render(REPORTS["clean"]()).replace("</main>", f"</main>{broken}")
        page.open(text if kept else POLICY.sub("", text))
        thread.join()
    assert page.js("return window.pwned") == (None if kept else 1)
    assert any("Content Security Policy" in each for each in page.errors()) is kept
    assert bool(asked) is not kept


@browsing
@pytest.mark.parametrize(
    "text",
    [pytest.param(text, marks=pytest.mark.thorough if text in RARE else ()) for text in SPELLINGS],
)
def test_nothing_of_the_data_is_executed(page: Page, text: str) -> None:
    # The policy is taken out: what is proved is that there is nothing that it would have to stop.
    given = html.render(spelled(REPORTS["hostile"](), text))
    page.open(POLICY.sub("", given))
    page.js("for (const each of document.querySelectorAll('summary')) each.click()")
    told = page.js(
        "return [...document.querySelectorAll('#timeline-picture .mark')].map(each => {"
        "each.dispatchEvent(new PointerEvent('pointermove', {bubbles: true}));"
        "return document.querySelector('#timeline-info').textContent})"
    )
    assert len(told) > 6
    assert any(" ".join(clean(text).split()) in " ".join(each.split()) for each in told)
    page.js(FOCUS)
    page.keys("\ue014", "\ue014", "+", "\ue007")
    assert page.settled("window.pwned === undefined")
    assert page.js("return document.querySelectorAll('img, main svg script').length") == 0
    assert page.errors() == []


@browsing
def test_the_timeline_draws_and_zooms_by_keys_buttons_wheel_and_mouse(page: Page) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    page.open(html.render(REPORTS["locks"]()))
    first = page.js(f"return {MARKS}")
    assert {"up", "down", "statement", "rewrite", "m0"} <= {word for mark in first for word in mark.split()}
    page.js(FOCUS)
    page.keys("+")
    zoomed = page.settled(MARKS)
    assert zoomed
    assert zoomed != first
    page.keys("0")
    assert page.settled(MARKS) == first
    page.driver.find_element(By.CSS_SELECTOR, "[data-do=in]").click()
    assert page.settled(MARKS) == zoomed
    page.driver.find_element(By.CSS_SELECTOR, "[data-do=right]").click()
    moved = page.settled(MARKS)
    assert moved not in (first, zoomed)
    picture = page.driver.find_element(By.ID, "timeline-picture")
    ActionChains(page.driver).click_and_hold(picture).move_by_offset(80, 0).release().perform()
    dragged = page.settled(MARKS)
    assert dragged not in (first, moved)
    page.js(FOCUS)
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    ActionChains(page.driver).scroll_from_origin(ScrollOrigin.from_element(picture), 0, -100).perform()
    assert page.settled(MARKS) != dragged
    page.driver.find_element(By.CSS_SELECTOR, "#timeline-walk option[value='1']").click()
    assert page.settled(MARKS) != first
    assert page.errors() == []


@browsing
def test_a_statement_is_told_on_hover_and_by_keys_and_found_in_the_list(page: Page) -> None:
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    page.open(html.render(REPORTS["locks"]()))
    for attempt in range(5):
        mark = page.driver.find_element(By.CSS_SELECTOR, "#timeline-picture .mark.rewrite")
        try:
            ActionChains(page.driver).move_to_element(mark).perform()
            break
        except StaleElementReferenceException:  # drawn anew, in the size that the window has come to
            assert attempt < 4
    told = page.js("return document.querySelector('#timeline-info').textContent")
    for said in ('ALTER TABLE "user" ALTER COLUMN id TYPE BIGINT', "6.2 s", "ACCESS EXCLUSIVE on user, 9.1 s"):
        assert said in told
    page.js(FOCUS)
    page.keys("\ue014", "\ue014")  # right arrow
    assert "UPDATE account" in page.js("return document.querySelector('#timeline-info').textContent")
    assert page.settled("document.querySelectorAll('#timeline-picture .current').length") == 1
    page.keys("\ue007")  # Enter
    assert page.js("return document.activeElement.id") == "s1"
    assert page.js("return document.activeElement.checkVisibility()")


@browsing
def test_findings_are_filtered_by_level_check_revision_and_text(page: Page) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.select import Select

    report = REPORTS["findings"]()
    page.open(html.render(report))
    every = len(report.findings)
    errors = sum(each.level.value == "error" for each in report.findings)
    assert page.js(SHOWN) == every

    def find(css: str) -> Any:
        return page.driver.find_element(By.CSS_SELECTOR, f"#filter {css}")

    find("[value=error]").click()
    assert page.js(SHOWN) == every - errors
    assert f"{every - errors} of {every}" in find("output").text
    find("[value=error]").click()
    Select(find("[name=check]")).select_by_visible_text("data-loss")
    assert page.js(SHOWN) == 1
    find("[type=reset]").click()
    assert page.settled(SHOWN.removeprefix("return ")) == every
    Select(find("[name=revision]")).select_by_visible_text("ab12")
    assert page.js(SHOWN) == sum(each.revision == "ab12" for each in report.findings)
    find("[type=reset]").click()
    find("[name=text]").send_keys("MERGE heads")
    assert page.js(SHOWN) == 1
    page.keys("\ue00c")  # Escape
    assert page.settled(SHOWN.removeprefix("return ")) == every


@browsing
def test_the_tab_key_reaches_everything_and_the_focus_is_seen(page: Page) -> None:
    page.open(html.render(REPORTS["findings"]()))
    wanted = page.js(
        "return [...document.querySelectorAll('a[href], button, select, input, summary, [tabindex=\"0\"]')]"
        ".filter(each => each.checkVisibility() && (each.type !== 'radio' || each.checked)).length"
    )
    reached, unseen = set(), []
    for _ in range(wanted + 60):
        page.keys("\ue004")  # Tab
        number, seen = page.js(
            "const at = document.activeElement; window.numbers ??= new Map();"
            "if (!numbers.has(at)) numbers.set(at, numbers.size);"
            "const style = getComputedStyle(at);"
            "return [at === document.body ? -1 : numbers.get(at),"
            " at === document.body || style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0]"
        )
        if number in reached and number == 0:
            break
        reached.add(number)
        if not seen:
            unseen.append(number)
    assert len(reached - {-1}) >= wanted
    assert unseen == []


COLORS = "(() => { const style = getComputedStyle(document.body); return [style.backgroundColor, style.color] })()"


def brightness(color: str) -> float:
    return sum(map(float, re.findall(r"[\d.]+", color)[:3])) / 3


@browsing
def test_dark_is_dark_by_the_system_and_by_the_switch(page: Page) -> None:
    from selenium.webdriver.common.by import By

    page.open(html.render(REPORTS["clean"]()))
    page.emulate(prefers_color_scheme="light")
    background, text = page.settled(COLORS)
    assert brightness(background) > 200 > 100 > brightness(text)
    page.emulate(prefers_color_scheme="dark")
    background, text = page.settled(COLORS)
    assert brightness(background) < 60 < 180 < brightness(text)
    page.driver.find_element(By.ID, "theme-light").click()
    assert brightness(page.settled(COLORS)[0]) > 200
    page.driver.find_element(By.ID, "theme-dark").click()
    page.emulate(prefers_color_scheme="light")
    assert brightness(page.settled(COLORS)[0]) < 60


@browsing
def test_a_narrow_page_does_not_scroll_sideways(page: Page) -> None:
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        page.open(html.render(REPORTS["hostile"]()))
        assert page.settled("document.documentElement.scrollWidth <= innerWidth")
        assert page.js(f"return {MARKS}")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@browsing
def test_paper_has_everything_opened_and_on_white(page: Page) -> None:
    page.open(html.render(REPORTS["locks"]()))
    page.emulate(prefers_color_scheme="dark")
    page.js("dispatchEvent(new Event('beforeprint'))")
    assert page.js("return document.querySelectorAll('details:not([open])').length") == 0
    page.js("dispatchEvent(new Event('afterprint'))")
    assert page.js("return document.querySelectorAll('details:not([open])').length") > 0
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert brightness(page.settled(COLORS)[0]) > 200 or page.settled(COLORS)[0] == "rgba(0, 0, 0, 0)"
    assert page.js("return getComputedStyle(document.querySelector('nav')).display") == "none"
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    printed = base64.b64decode(page.driver.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")


@browsing
def test_without_a_script_the_page_can_be_read(page: Page) -> None:
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    try:
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        page.open(html.render(REPORTS["findings"]()))
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        assert page.js("return document.querySelector('noscript').checkVisibility()")
        assert not page.js("return document.querySelector('#filter').checkVisibility()")
        assert page.js(SHOWN) == len(REPORTS["findings"]().findings)
    finally:
        page.driver.close()
        page.driver.switch_to.window(first)


@browsing
def test_a_large_run_is_drawn_and_zoomed_with_a_bounded_number_of_marks(page: Page) -> None:
    page.open(html.render(large()))
    marks = page.js(f"return {MARKS}")
    assert 20 < len(marks) < 8_000
    assert any("many" in each for each in marks)
    page.js(FOCUS)
    page.driver.execute_async_script(
        "document.querySelector('[data-do=in]').click();"
        "requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))"
    )
    closer = page.js(f"return {MARKS}")
    assert closer != marks
    assert 20 < len(closer) < 8_000
    assert page.errors() == []
