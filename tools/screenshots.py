"""Take the pictures of the site for README.md, and the card that links to it are shown with.

`make site` first, then `python tools/screenshots.py`; it needs Chromium and its driver.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from jupyter_browser import chromium  # noqa: E402

from sercourse.files import atomic_path  # noqa: E402


@dataclass(frozen=True)
class Shot:
    """What to photograph: a page, its size [pixels] and colours, what stands on top, a click."""

    page: str
    width: int = 1280
    height: int = 800
    theme: str = "light"
    top: str = "body"
    click: str = ""


LESSON = "build/site/notebooks/03_train_svm.html"
SHOTS = {
    "card": Shot("docs/card.html", width=1200, height=630),
    "site-home": Shot("build/site/index.html"),
    "site-lesson": Shot(LESSON, width=1440, height=900, top="#which-emotions-does-it-confuse"),
    "site-quiz": Shot(LESSON, theme="dark", top="#quiz", click=".quiz [data-right=true]"),
    "site-results": Shot("build/site/results.html", top="#ravdess-8-emotions"),
    "site-telephone": Shot("build/site/notebooks/01_exploration.html", width=390, theme="dark"),
}


def main() -> None:
    """Write every picture into images/."""
    for name, shot in SHOTS.items():
        picture = Image.open(io.BytesIO(taken(shot))).convert("RGB")
        small = picture.quantize(256, dither=Image.Dither.NONE)
        path = ROOT / "images" / f"{name}.png"
        with atomic_path(path) as temporary:
            small.save(temporary, format="PNG", optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def taken(shot: Shot) -> bytes:
    """Return a photograph of a page, as a PNG."""
    with chromium(size=f"{shot.width},{shot.height}", flags=("--hide-scrollbars",)) as window:
        size = {"width": shot.width, "height": shot.height, "deviceScaleFactor": 1}
        window.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {**size, "mobile": shot.width < 500}
        )
        window.get((ROOT / shot.page).as_uri())
        for _ in range(2):  # pictures above that load meanwhile move it
            window.execute_script(
                "document.body.dataset.theme = arguments[0];"
                "document.querySelector(arguments[1]).scrollIntoView({behavior: 'instant'});"
                "document.querySelector(arguments[2] || null)?.click()",
                shot.theme,
                shot.top,
                shot.click,
            )
            window.execute_async_script("setTimeout(arguments[0], 300)")
        shown: bytes = window.get_screenshot_as_png()
        return shown


if __name__ == "__main__":
    main()
