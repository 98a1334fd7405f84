"""Settings of the site. `python tools/build_site.py` prepares its pages and runs Sphinx."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

import sercourse

project = "sercourse"
author = "the authors of sercourse"
copyright = f"2026, {author}"
release = version = sercourse.__version__
language = "en_GB"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
]
suppress_warnings = ["myst.header"]  # the terms of the glossary are third-level headings
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # docstrings mark parameters as they mark links
default_role = "py:obj"

# Lessons are shown as they were run. Raw HTML in Markdown is text: labels may come from anywhere.
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "Show the imports"
nb_code_prompt_hide = "Hide the imports"
nb_ipywidgets_js: dict[str, Any] = {}
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "attrs_inline", "attrs_block", "colon_fence", "deflist"]
myst_disable_syntax = ["html_inline", "html_block"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_typehints = "none"  # numpydoc's sections tell types
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = "Speech emotion recognition"
html_baseurl = "https://sercourse.github.io/sercourse/"
html_static_path = ["static", "../images/card.png"]
exclude_patterns = [".doctrees"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_favicon = "static/favicon.svg"
html_copy_source = False
html_last_updated_fmt = None
html_math_renderer = "mathml"
templates_path = ["templates"]
html_theme_options = {
    "source_repository": "https://github.com/sercourse/sercourse/",
    "top_of_page_buttons": [],
    "light_css_variables": {
        "color-brand-primary": "#1b5e6b",
        "color-brand-content": "#14606f",
        "color-api-name": "#14606f",
        "color-api-pre-name": "#4a5560",
    },
    "dark_css_variables": {
        "color-brand-primary": "#7fd0de",
        "color-brand-content": "#8ad6e3",
        "color-api-name": "#8ad6e3",
        "color-api-pre-name": "#a8b3bd",
    },
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def inline_formula(writer: Any, node: nodes.math) -> None:
    """Write a formula as MathML, which browsers show by themselves."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block_formula(writer: Any, node: nodes.math_block) -> None:
    """Write a formula on a line of its own."""
    writer.body.append(convert(node.astext(), display="block"))
    raise nodes.SkipNode


def sound(_name: str, _raw: str, clip: str, *_: Any) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Play a clip of the sample corpora; it is a part of the page."""
    data = base64.b64encode((Path(__file__).parents[1] / clip).read_bytes()).decode()
    address = f"data:audio/ogg;base64,{data}"
    player = f'<audio controls src="{address}" aria-label="{Path(clip).stem}"></audio>'
    return [nodes.raw("", player, format="html")], []


def skip_inherited(_app: Sphinx, _what: str, _name: str, value: Any, *_: Any) -> bool | None:
    """Leave out what scikit-learn adds to its estimators."""
    module = getattr(value, "__module__", None) or "sercourse"
    return None if module.startswith("sercourse") else True


def setup(app: Sphinx) -> None:
    """Register the formulas, and what the reference leaves out."""
    app.add_role("sound", sound)
    app.connect("autodoc-skip-member", skip_inherited)
    app.add_html_math_renderer("mathml", (inline_formula, None), (block_formula, None))
