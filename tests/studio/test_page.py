"""The studio's page in a real browser. Screenshots go to work/studio; `make test-studio` runs this."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from segnst.video.read import open_reader
from tests.conftest import Run
from tests.studio.conftest import Served, studio

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-studio installs it")
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

pytestmark = [pytest.mark.studio, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
STREET = ROOT / "videos/street.mp4"
SHOTS = ROOT / "work/studio"
PATIENT = 300_000  # milliseconds; nothing here measures how quick a machine is
expect.set_options(timeout=PATIENT)


@pytest.fixture(scope="module")
def camera_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled clip as the fake camera of Chromium wants it."""
    path = tmp_path_factory.mktemp("camera") / "street.y4m"
    with open_reader(STREET, end=0.4, max_size=320) as reader, path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{reader.width} H{reader.height} F24:1 Ip A1:1 C420jpeg\n".encode())
        for clip in reader:
            rgb = (clip.rgb[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            file.write(b"FRAME\n" + cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


@pytest.fixture(scope="module")
def browser(camera_clip: Path) -> Iterator[Browser]:
    """Chromium: the system's, else Playwright's own."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    arguments = [
        "--no-sandbox",  # the tests may run as root, and visit one page only: the studio's
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_clip}",
    ]
    with sync_playwright() as playwright:
        try:
            running = playwright.chromium.launch(executable_path=found, args=arguments)
        except Error as error:
            pytest.skip(f"no browser can be started: {str(error).splitlines()[0]}")
        yield running
        running.close()


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio with the bundled clip."""
    with studio(tmp_path_factory.mktemp("street"), STREET, "--max-upload", "2") as running:
        yield running


@pytest.fixture
def page(browser: Browser, street: Served) -> Iterator[Page]:
    """The page with the clip open and looked at; what it says that is wrong, and where it asks, is an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(PATIENT)
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "request",
        lambda asked: None if asked.url.startswith((street.address, "blob:", "data:")) else wrong.append(asked.url),
    )
    opened.goto(street.address)
    expect(opened.locator(".chip").first).to_be_visible()
    yield opened
    context.close()
    assert not wrong, "no request leaves the machine, and nothing goes wrong in the page"


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def painted(page: Page) -> None:
    """Wait until the preview shows what was chosen."""
    page.wait_for_timeout(400)
    expect(page.locator("#stage .pill")).not_to_have_class(re.compile("working"))
    expect(page.locator(".result")).to_be_visible()


def point(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a place of the picture, in shares of it, is on the page."""
    box = page.locator(".overlay").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def choose(page: Page, region: str, style: str) -> None:
    page.locator(".region", has_text=region).locator(".pick").click()
    page.click(f'.card[data-style="{style}"]')
    painted(page)


def frames(path: Path) -> torch.Tensor:
    with open_reader(path) as reader:
        return torch.cat([clip.rgb for clip in reader])


def clear(page: Page) -> None:
    """Begin as on the first day."""
    page.evaluate("localStorage.clear()")


def test_hover_click_choose_preview_render_download(page: Page, run: Run, tmp_path: Path) -> None:
    page.mouse.move(*point(page, 0.35, 0.6))
    expect(page.locator(".hover-name")).to_have_text("Vehicle · click takes it")
    shot(page, "hover")
    page.mouse.click(*point(page, 0.35, 0.6))
    expect(page.locator(".region.chosen")).to_contain_text("Vehicle")
    choose(page, "Vehicle", "starry_night")
    choose(page, "Background", "great_wave")
    shot(page, "painted")
    page.click('[data-view="mask"]')
    painted(page)
    expect(page.locator("#stage .pill")).to_contain_text("vehicle")
    shot(page, "masks")
    page.click('[data-view="result"]')

    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("o")  # three frames
    painted(page)
    page.click("#open-render")
    page.select_option("#render select >> nth=1", "320")
    expect(page.locator(".command code")).to_contain_text("--max-size 320")
    shot(page, "render")
    command = page.inner_text(".command code")
    page.click("#render .go .primary")
    expect(page.locator('.job[data-state="done"]').first).to_be_visible()
    shot(page, "rendered")
    with page.expect_download() as download:
        page.locator(".job .download").first.click()
    download.value.save_as(tmp_path / "downloaded.mp4")
    shutil.copy(STREET, tmp_path / "street.mp4")
    page.keyboard.press("Control+z")  # what the recipe of the dropped film brings back
    page.keyboard.press("Escape")
    dropped = (
        "f => { const t = new DataTransfer(); t.items.add(new File([new Uint8Array(f)], 'renamed.mp4')); return t; }"
    )
    film = page.evaluate_handle(dropped, list((tmp_path / "downloaded.mp4").read_bytes()))
    page.dispatch_event("#stage", "drop", {"dataTransfer": film})
    expect(page.locator("#toasts")).to_contain_text("its recipe is back")
    words = shlex.split(command)
    code, _, err = run(*words[1:])
    assert code == 0, err
    ours, theirs = frames(tmp_path / "downloaded.mp4"), frames(tmp_path / words[-1])
    assert len(ours) == 3 and torch.equal(ours, theirs)


def test_a_box_a_correction_a_mix_and_undo(page: Page) -> None:
    page.mouse.move(*point(page, 0.13, 0.45))
    page.mouse.down()
    page.mouse.move(*point(page, 0.2, 0.7), steps=4)
    page.mouse.move(*point(page, 0.23, 0.92), steps=4)
    page.mouse.up()
    expect(page.locator(".region.chosen")).to_contain_text("Person")
    expect(page.locator(".cutting")).to_be_empty()
    expect(page.locator(".lane")).to_contain_text("followed")
    page.mouse.click(*point(page, 0.19, 0.62))
    page.keyboard.down("Shift")
    page.mouse.click(*point(page, 0.15, 0.5))
    page.keyboard.up("Shift")
    page.get_by_role("button", name="Brush").click()
    page.mouse.move(*point(page, 0.19, 0.7))
    page.mouse.down()
    page.mouse.move(*point(page, 0.19, 0.85), steps=6)
    page.mouse.up()
    page.get_by_role("button", name="Brush").click()
    choose(page, "Person", "the_scream")
    page.get_by_text("Mix with…").click()
    page.click('.card[data-style="udnie"]')
    painted(page)
    expect(page.locator(".region.chosen")).to_contain_text("The scream + Udnie")
    page.get_by_label("Strength").fill("0.5")
    painted(page)
    shot(page, "object")
    page.click("#open-render")
    expect(page.locator(".command code")).to_contain_text("--not-point person:")
    expect(page.locator(".command code")).to_contain_text("person=the_scream*0.5+udnie*0.5@0.5")
    page.keyboard.press("Escape")
    for _ in range(8):
        page.keyboard.press("Control+z")
    expect(page.locator(".region")).to_have_count(1)
    for _ in range(8):
        page.keyboard.press("Control+Shift+z")
    expect(page.locator(".region")).to_have_count(2)
    page.locator(".region", has_text="Person").get_by_label("Lock against changes").click()
    page.locator(".region", has_text="Person").locator(".pick").click()
    page.keyboard.press("Delete")
    expect(page.locator("#toasts")).to_contain_text("is locked")
    expect(page.locator(".region")).to_have_count(2)


def test_by_keyboard_alone(page: Page) -> None:
    def to(selector: str) -> None:
        for _ in range(120):
            if page.evaluate("s => document.activeElement?.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{selector} cannot be reached by Tab")

    to('[data-focus="chip-vehicle"]')
    page.keyboard.press("Enter")
    expect(page.locator(".region.chosen")).to_contain_text("Vehicle")
    to('.card[data-style="udnie"]')
    page.keyboard.press("Enter")
    painted(page)
    page.keyboard.press("c")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#sheet")).to_be_visible()
    shot(page, "keys")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+z")
    expect(page.locator(".region.chosen")).to_contain_text("as it is")
    page.keyboard.press("r")
    expect(page.locator("#render")).to_contain_text("Nothing is painted yet")
    page.keyboard.press("Escape")
    expect(page.locator("#render")).to_be_hidden()


def test_reload_in_mid_render_cancel_and_two_pages(page: Page, street: Served) -> None:
    other = page.context.new_page()
    other.goto(street.address)
    page.click('[data-focus="chip-vehicle"]')
    page.click('.card[data-style="udnie"]')
    painted(page)
    page.click("#open-render")
    page.click("#render .go .primary")
    running = page.locator('.job[data-state="running"]')
    expect(running).to_be_visible()
    id = running.get_attribute("data-id")
    expect(other.locator("#open-render")).to_contain_text("Rendering")
    page.reload()
    expect(page.locator(".region.chosen")).to_contain_text("Udnie")
    page.click("#open-render")
    mine = page.locator(f'.job[data-id="{id}"]')
    expect(mine).to_have_attribute("data-state", "running")
    shot(page, "running")
    mine.get_by_label("Cancel").click()
    expect(mine).to_have_attribute("data-state", "cancelled")
    expect(other.locator("#open-render")).to_have_text("Render")
    mine.get_by_label("Remove").click()
    expect(mine).to_have_count(0)


def test_uploads_that_work_and_those_that_do_not(page: Page, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photo = cv2.resize((rng.random((6, 9, 3)) * 255).astype(np.uint8), (360, 240), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "holiday.png"), photo)
    (tmp_path / "broken.mp4").write_bytes(b"this is no film")
    (tmp_path / "large.mp4").write_bytes(b"x" * 2_500_000)
    page.click("#home")
    chooser = page.locator("#welcome input[type=file]")
    chooser.set_input_files(tmp_path / "broken.mp4")
    problem = page.locator("#welcome .bad")
    expect(problem).to_contain_text("broken.mp4")
    assert str(tmp_path.root + "tmp") not in problem.inner_text()
    shot(page, "broken")
    chooser.set_input_files(tmp_path / "large.mp4")
    expect(problem).to_contain_text(re.compile("larger than 2 MB|too large"))
    chooser.set_input_files(tmp_path / "holiday.png")
    expect(page.locator("#title")).to_have_text("holiday.png")
    expect(page.locator("#deck")).to_be_hidden()
    page.click('.card[data-style="udnie"]')
    painted(page)
    shot(page, "photo")


def test_two_seconds_are_painted_and_played(page: Page) -> None:
    clear(page)
    page.click('.card[data-style="udnie"]')
    painted(page)
    page.keyboard.press("End")
    painted(page)
    page.click("#play")
    expect(page.locator("video.loop")).to_be_visible()
    page.wait_for_selector("video.loop[src*='/output']")
    assert page.locator("video.loop").evaluate("v => v.play().then(() => v.videoWidth)") == 480
    page.click("#play")
    expect(page.locator("video.loop")).to_be_hidden()


def test_the_camera(page: Page) -> None:
    page.click("#tab-camera")
    page.get_by_text("Start the camera").click()
    facts = page.locator(".shot .facts")
    expect(facts).to_have_text(re.compile(r"[\d.]+ frames/s · \d+ ms behind"))
    shot(page, "camera")
    canvas = page.locator(".shot canvas")
    assert canvas.evaluate("c => c.width") == 320
    assert canvas.evaluate("c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size") > 50
    page.get_by_text("Stop the camera").click()
    expect(facts).to_be_empty()


def test_a_forged_page_gets_nothing(browser: Browser, street: Served, tmp_path: Path) -> None:
    """A page of another origin in the same browser can neither ask nor listen."""
    from tests.loopback import serve

    (tmp_path / "index.html").write_text("<h1>evil</h1>")
    with serve(tmp_path) as evil:
        other = browser.new_page()
        other.goto(evil)
        asked = """async (address) => {
            const tried = [];
            for (const options of [{}, {method: 'POST', body: '{}'}, {mode: 'no-cors', method: 'POST', body: '{}'}]) {
                try { tried.push((await fetch(address + '/api/state', options)).status); }
                catch { tried.push('refused'); }
            }
            tried.push(await new Promise((done) => {
                const socket = new WebSocket(address.replace('http', 'ws') + '/ws?client=abcdefghij');
                socket.onopen = () => done('open');
                socket.onerror = () => done('refused');
            }));
            return tried;
        }"""
        tried = other.evaluate(asked, street.address)
        other.close()
    assert tried[0] == tried[1] == tried[3] == "refused" and tried[2] in (0, "refused")


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_everything_fits(browser: Browser, street: Served, scheme: Any, size: tuple[int, int]) -> None:
    """Nothing is wider than the page, and every button has a name, at both sizes and in both themes."""
    name = f"{'desk' if size[0] > 800 else 'phone'}_{scheme}"
    phone = {"is_mobile": True, "has_touch": True} if size[0] < 800 else {}
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, **phone)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENT)
    page.goto(street.address)
    page.click('[data-focus="chip-vehicle"]')
    page.click('.card[data-style="starry_night"]')
    painted(page)

    def looks_right(state: str) -> None:
        shot(page, f"{name}_{state}")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        nameless = "[...document.querySelectorAll('button')].filter(b => !(b.ariaLabel || b.textContent.trim())).length"
        assert page.evaluate(nameless) == 0

    looks_right("clip")
    page.click("#open-render")
    expect(page.locator(".command code")).to_contain_text("segnst style")
    looks_right("render")
    page.keyboard.press("Escape")
    page.click("#keys")
    looks_right("keys")
    page.keyboard.press("Escape")
    page.click("#tab-camera")
    looks_right("camera")
    page.click("#tab-clip")
    page.click("#home")
    looks_right("welcome")
    context.close()
