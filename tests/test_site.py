"""The site: built once, also with lessons that cannot be shown; then read as a file and opened."""

from __future__ import annotations

import base64
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from jupyter_browser import chromium
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from sercourse import course

pytest.importorskip("myst_nb", reason="the site's tools are not installed: pip install '.[site]'")
bs4 = pytest.importorskip("bs4")
import build_site  # noqa: E402
import lesson_pages  # noqa: E402
import voice_page  # noqa: E402

# One process builds the site, and every test looks at the same.
pytestmark = pytest.mark.xdist_group("site")

EVIL = "<script>document.title = 'taken over'</script>"
ODD = "13_<img src=x onerror=alert(1)>.ipynb"
MOST = 1_500_000
"""What a page may load at most [bytes]."""

LOADS = {
    "script": "src",
    "img": "src",
    "source": "src",
    "audio": "src",
    "iframe": "src",
    "link": "href",
    "use": "href",
}
"""Elements that make a browser load something, and where they say what."""

OPENED = [
    "index",
    "start",
    "lessons",
    "recipes",
    "voice/index",
    "results",
    "troubleshooting",
    "search",
    "genindex",
    "api/features",
    "models/any-voice/README",
    "models/speech-encoder/README",
    "notebooks/glossary",
    "notebooks/01_exploration",
    "notebooks/03c_better_features",
    "notebooks/11_leaderboard",
    "notebooks/13__img_src_x_onerror_alert_1__",
]


def odd_lesson() -> Any:
    """Return a lesson that failed, among whose labels is a script."""
    table = {"text/plain": EVIL, "text/markdown": f"The label {EVIL} was named."}
    error = new_output("error", ename="ValueError", evalue=EVIL, traceback=[EVIL])
    red = {"tags": ["papermill-error-cell-tag"]}
    cells = [
        new_markdown_cell("<span>An exception was met</span>", metadata=red),
        new_markdown_cell(f"# 13 · {EVIL}\n\nLabels may come from anywhere: {EVIL}"),
        new_code_cell("labels", outputs=[new_output("execute_result", data=table)]),
        new_code_cell("1 / 0", outputs=[new_output("stream", text=EVIL), error]),
    ]
    run = {"exception": True, "parameters": {}, "duration": 2.0}
    return new_notebook(
        cells=cells, metadata={"papermill": run, "language_info": {"name": "python"}}
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a site with all lessons, and two that cannot be shown as they are."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "lessons").mkdir()
    course.write(odd_lesson(), folder / "lessons" / ODD)
    (folder / "lessons" / "14_text.ipynb").write_text("not JSON")
    out = folder / "html"
    words = ["--lessons", str(folder / "lessons"), "--out", str(out), "--no-npm"]
    assert build_site.main(words) == 0
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Any]:
    """Return every page of the site, parsed."""
    found = {
        path: bs4.BeautifulSoup(path.read_text("utf-8"), "html.parser")
        for path in sorted(site.rglob("*.html"))
    }
    assert len(found) > 60
    return found


def lessons_of(pages: dict[Path, Any]) -> dict[str, Any]:
    """Return the pages of the lessons that are published."""
    stems = {path.stem for path in course.lessons()}
    return {path.stem: page for path, page in pages.items() if path.stem in stems}


def local(page: Path, link: str) -> Path:
    """Return the file that a link of a page leads to."""
    return (page.parent / unquote(urlsplit(link).path)).resolve() if urlsplit(link).path else page


def loaded(page: Any) -> list[str]:
    """Return what a page loads by itself."""
    found = []
    for name, attribute in LOADS.items():
        for element in page.find_all(name):
            if name == "link" and not {"stylesheet", "icon", "preload"} & set(element["rel"]):
                continue
            found += [element[attribute]] if element.get(attribute) else []
    return found


def test_every_link_inside_the_site_leads_somewhere(pages: dict[Path, Any], site: Path) -> None:
    ids = {path: {e["id"] for e in page.find_all(id=True)} for path, page in pages.items()}
    broken, seen = [], 0
    for path, page in pages.items():
        links = [a["href"] for a in page.find_all("a", href=True)] + loaded(page)
        for link in links:
            if re.match(r"[a-z]+:", link):
                continue
            seen += 1
            target, fragment = local(path, link), unquote(urlsplit(link).fragment)
            inside = target.is_relative_to(site) and target.exists()
            if not inside or (fragment and target in ids and fragment not in ids[target]):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken
    assert seen > 1000


def test_nothing_is_loaded_from_another_host(pages: dict[Path, Any], site: Path) -> None:
    foreign = [
        f"{path.name}: {link}"
        for path, page in pages.items()
        for link in loaded(page)
        if urlsplit(link).scheme not in ("", "data")
    ]
    for style in site.rglob("*.css"):
        text = style.read_text("utf-8")
        links = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", text)
        foreign += [
            f"{style.name}: {a or b}" for a, b in links if re.match(r"(https?:)?//", a or b)
        ]
    assert not foreign


def test_no_page_is_heavy(pages: dict[Path, Any]) -> None:
    for path, page in pages.items():
        files = {local(path, link) for link in loaded(page) if not link.startswith("data:")}
        assert path.stat().st_size + sum(file.stat().st_size for file in files) < MOST, path


def test_every_page_has_a_title_a_language_and_a_card(pages: dict[Path, Any], site: Path) -> None:
    for path, page in pages.items():
        assert page.html["lang"] == "en-GB", path
        assert page.title.text.strip()
        if path.parent != site / "_static":
            made_by_script = path.name == "search.html"
            assert len(page.find_all("h1")) == (0 if made_by_script else 1), path
            card = page.find("meta", property="og:image")["content"]
            assert (site / "_static" / card.rpartition("/")[2]).is_file()


def test_a_lesson_has_its_parts(pages: dict[Path, Any]) -> None:
    lessons = lessons_of(pages)
    assert len(lessons) == len(course.lessons()) >= 20
    for stem, page in lessons.items():
        article = page.find("article")
        exercises = [
            c for c in course.read(course.find([stem])[0]).cells if "exercise" in course.tags(c)
        ]
        folded = [each for each in article.find_all("details") if "Solution" in each.summary.text]
        assert len(folded) == len(exercises) == 3, stem
        assert not [
            each for each in folded if each.has_attr("open") or "..." in each.pre.text.split("=")
        ]
        assert len(article.select(".quiz fieldset")) == 5
        assert len(article.select(".quiz input[data-right=true]")) == 5
        assert "jsdelivr" not in str(page)
        path = course.find([stem])[0]
        if old := course.stale([path]):  # another test complains of it; the page has to say it
            assert old[path] in article.text
            continue
        made = article.select_one(".made").text
        corpora = course.read(path).metadata["sercourse"]["corpus"]
        assert all(name.upper() in made for name in corpora), stem


def test_each_figure_says_what_it_shows(pages: dict[Path, Any]) -> None:
    told = tomllib.loads(lesson_pages.FIGURES.read_text("utf-8"))
    lessons = lessons_of(pages)
    assert told.keys() == lessons.keys()
    for stem, page in lessons.items():
        shown = [image["alt"] for image in page.select("article .cell_output img")]
        assert shown == told[stem], stem
    texts = [text for each in told.values() for text in each]
    assert len(set(texts)) == len(texts)
    assert min(map(len, texts)) > 60


def test_of_another_run_only_what_holds_for_any_data_is_said() -> None:
    published = lesson_pages.figures("01_exploration", published=True)
    other = lesson_pages.figures("01_exploration", published=False)
    assert all(a.startswith(b) for a, b in zip(published, other, strict=True))
    assert "192" in published[0]
    assert "192" not in other[0]


def test_the_first_lesson_plays_the_sample(site: Path, root: Path) -> None:
    html = (site / "notebooks" / "01_exploration.html").read_text("utf-8")
    players = re.findall(r'<audio controls src="data:audio/ogg;base64,([^"]+)"', html)
    sample = {path.read_bytes() for path in (root / "data" / "sample").rglob("*.ogg")}
    assert len(players) == 3
    assert {base64.b64decode(each) for each in players} <= sample


def test_the_buttons_lead_where_the_badges_do(pages: dict[Path, Any]) -> None:
    for stem, page in lessons_of(pages).items():
        first = course.read(course.find([stem])[0]).cells[0].source
        (badge,) = re.findall(r"\]\((https://colab\.research\.google\.com/github/[^)]+)\)", first)
        colab, lab, notebook = page.select(".launch a")
        assert colab["href"] == badge
        assert lab["href"].endswith(f"/lab/tree/notebooks/{stem}.ipynb")
        assert notebook["href"].endswith(f"notebooks/{stem}.ipynb")


def test_formulas_are_mathml(pages: dict[Path, Any]) -> None:
    lesson = lessons_of(pages)["03_train_svm"]
    assert lesson.find("math") is not None
    assert not lesson.select(".math, script[src*=mathjax i]")


def test_a_lesson_that_failed_is_said_and_its_labels_are_text(pages: dict[Path, Any]) -> None:
    (odd,) = [page for path, page in pages.items() if path.stem.startswith("13__img")]
    assert "This run failed" in odd.text
    assert "exception was met" not in odd.text
    assert odd.text.count("taken over") >= 4
    for page in pages.values():
        assert "taken over" not in "".join(s.text for s in page.find_all("script"))
        assert not page.find_all("img", src="x")
    (text,) = [page for path, page in pages.items() if path.stem == "14_text"]
    assert "14_text.ipynb is not a notebook" in " ".join(text.text.split())


def test_lessons_that_were_not_published_or_are_stale_are_said(tmp_path: Path) -> None:
    cells = [new_markdown_cell("# 01 · New"), new_code_cell("1")]
    path = tmp_path / "01_new.ipynb"
    course.write(new_notebook(cells=cells), path)
    assert "has never been published" in lesson_pages.page(path).cells[1].source
    cells[1].outputs = [new_output("stream", text="1")]
    mark = {"code_sha256": "other", "corpus": [], "version": "0", "seconds": 1}
    course.write(new_notebook(cells=cells, metadata={"sercourse": mark}), path)
    assert "outputs older than its code" in lesson_pages.page(path).cells[1].source


def test_a_run_says_on_what_it_ran(tmp_path: Path) -> None:
    code = new_code_cell("data_dir = None", metadata={"tags": ["parameters"]})
    run = {"exception": False, "parameters": {}, "duration": 2.0}
    for given, said in ({}, "synthetic sample"), ({"data_dir": "there"}, "corpora in `there`"):
        notebook = new_notebook(
            cells=[new_markdown_cell("# 01 · New"), code],
            metadata={"papermill": {**run, "parameters": given}},
        )
        course.write(notebook, tmp_path / "01_new.ipynb")
        assert said in lesson_pages.page(tmp_path / "01_new.ipynb").cells[1].source


@pytest.mark.parametrize("link", ["[page](no.md)", "[section](#nowhere)", "![picture](no.png)"])
def test_a_link_that_leads_nowhere_fails_the_build(
    link: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text(f"# Home\n\n{link}\n")
    assert build_site.sphinx(tmp_path / "pages", tmp_path / "out") == 1
    assert re.search(r"WARNING: .*(no\.md|nowhere|no\.png)", capfd.readouterr().err)
    assert "Home" in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_links_lead_to_pages_or_to_the_repository(root: Path) -> None:
    places = build_site.page_places()
    text = "[a](../models/any-voice) [b](../tools/publish.py) [c](no.md) [d](results.md#protocols)"
    told = build_site.with_links(text, source=root / "docs" / "index.md", places=places)
    assert "[a](models/any-voice/README.md)" in told
    assert f"[b]({build_site.REPOSITORY}/blob/main/tools/publish.py)" in told
    assert "[c](no.md) [d](results.md#protocols)" in told


@pytest.fixture(scope="module")
def axe() -> str:
    """Return the script that finds barriers, fetched by npm; skip the tests where that fails."""
    try:
        folder = voice_page.install("axe-core", npm=shutil.which("npm"))
    except OSError as error:
        pytest.skip(str(error))
    return (folder / "axe.min.js").read_text("utf-8")


def show(window: Any, site: Path, name: str, theme: str) -> None:
    """Open a page in light or dark."""
    window.get((site / f"{name}.html").as_uri())
    window.execute_script("document.body.dataset.theme = arguments[0]", theme)


@pytest.fixture(scope="module", params=[1280, 390])
def window(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A browser of that width [pixels] which reaches no host: to ask one is an error there."""
    width = request.param
    with chromium(size=f"{width},900", flags=("--host-resolver-rules=MAP * ~NOTFOUND",)) as window:
        window.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        yield window


@pytest.mark.parametrize("name", OPENED)
@pytest.mark.browser
def test_a_page_is_calm_and_fits(window: Any, site: Path, name: str) -> None:
    show(window, site, name, "dark")
    assert window.get_log("browser") == []
    wide, seen = window.execute_script(
        "const {scrollWidth, clientWidth} = document.documentElement;"
        "return [scrollWidth, clientWidth]"
    )
    assert wide <= seen
    assert window.title != "taken over"


@pytest.mark.parametrize("name", OPENED)
@pytest.mark.browser
def test_a_page_keeps_nobody_out(window: Any, site: Path, name: str, axe: str) -> None:
    narrow = window.execute_script("return innerWidth < 500")
    show(window, site, name, "dark" if narrow else "light")
    window.execute_script(axe)
    assert serious(window) == []


@pytest.mark.browser
def test_a_figure_keeps_a_size_at_which_its_text_is_read(window: Any, site: Path) -> None:
    window.get((site / "notebooks" / "05c_replication.html").as_uri())
    widths = window.execute_script(
        "return [...document.querySelectorAll('.cell_output img')].map(each => each.clientWidth)"
    )
    assert len(widths) == 6
    assert min(widths) >= 480  # of 711 pixels, with text of 12.5 pixels


@pytest.mark.browser
def test_a_click_sorts_the_leaderboard(window: Any, site: Path) -> None:
    window.get((site / "results.html").as_uri())
    column = (
        "const table = document.querySelector('#ravdess-8-emotions table');"
        "return [...table.tBodies[0].rows].map(row => parseFloat(row.cells[3].textContent))"
    )
    before = window.execute_script(column)
    for order in False, True:
        window.execute_script(
            "document.querySelectorAll('#ravdess-8-emotions th button')[3].click()"
        )
        after = window.execute_script(column)
        assert after == sorted(before, reverse=order) != before


@pytest.mark.browser
def test_an_answer_of_a_quiz_is_told_right_or_wrong(window: Any, site: Path) -> None:
    window.get((site / "notebooks" / "03_train_svm.html").as_uri())
    for right, mark in ("false", "✗"), ("true", "✓"):
        said = window.execute_script(
            "const input = document.querySelector(`.quiz [data-right=${arguments[0]}]`);"
            "input.click();"
            "return input.closest('fieldset').querySelector('[role=status]').textContent",
            right,
        )
        assert re.match(rf"{mark} \w", said)


@pytest.mark.browser
def test_the_search_finds_a_term_without_a_network(window: Any, site: Path) -> None:
    window.get((site / "search.html").as_uri() + "?q=bootstrap")
    window.implicitly_wait(20)
    try:
        assert window.find_element("css selector", "#search-results li a")
    finally:
        window.implicitly_wait(0)


@pytest.mark.browser
def test_the_keyboard_opens_the_menus_of_a_telephone(window: Any, site: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    window.get((site / "index.html").as_uri())
    label = window.find_element("css selector", "label.nav-overlay-icon")
    if label.is_displayed():
        label.send_keys(Keys.ENTER)
        assert window.execute_script("return document.getElementById('__navigation').checked")
    else:
        assert window.find_element("css selector", ".sidebar-tree a").is_displayed()


def serious(window: Any) -> list[Any]:
    """Return what axe finds in the open page that keeps somebody out."""
    found: list[Any] = window.execute_async_script(
        "const done = arguments[0];"
        "axe.run({preload: false, resultTypes: ['violations']}).then(told => done(told.violations"
        ".filter(each => ['serious', 'critical'].includes(each.impact))"
        ".map(each => [each.id, each.nodes[0].html])))"
    )
    return found
