"""Who may ask, for what, and what is said to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from segnst.errors import InputError
from segnst.studio.app import create_app
from segnst.studio.library import Library
from segnst.studio.server import names_of
from segnst.studio.settings import StudioSettings
from segnst.studio.studio import Studio
from segnst.studio.words import without_paths

BASE = "http://127.0.0.1:8737"
OWN = {"origin": BASE}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with a file in it and a link out of it, beside a secret."""
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    folder = tmp_path / "films"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.mp4").write_bytes(b"film")
    (folder / ".hidden.mp4").write_bytes(b"hidden")
    (folder / "notes.txt").write_text("no film")
    (folder / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    return folder


def _app(films: Path, token: str | None = None, **settings: int) -> TestClient:
    studio = Studio([films], StudioSettings(work=str(films.parent / "work"), **settings))  # type: ignore[arg-type]
    hosts = () if token else names_of("127.0.0.1", 8737)
    return TestClient(create_app(studio, hosts, token), base_url=BASE)


@pytest.fixture
def http(films: Path) -> Iterator[TestClient]:
    """The application without its workers: nothing here gets as far as decoding."""
    yield _app(films)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8737", "127.0.0.1:80", "127.0.0.1.evil.example:8737"])
def test_another_name_for_the_server_is_refused(http: TestClient, host: str) -> None:
    assert http.get("/api/state", headers={"host": host}).status_code == 403
    assert http.get("/api/state", headers={"host": "localhost:8737"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://localhost:8737"},
        OWN | {"sec-fetch-site": "cross-site"},
    ],
)
def test_only_the_own_page_may_change_anything(http: TestClient, headers: dict[str, str]) -> None:
    assert http.post("/api/open", json={"path": "deep/a.mp4"}, headers=headers).status_code == 403
    assert http.post("/api/upload?name=a.png", content=b"x", headers=headers).status_code == 403


def test_pages_of_other_sites_get_nothing_to_show(http: TestClient) -> None:
    assert http.get("/api/state", headers={"origin": "http://evil.example"}).status_code == 403
    assert http.get("/api/state", headers={"sec-fetch-site": "cross-site"}).status_code == 403


@pytest.mark.parametrize("path", ["/ws?client=abcdefgh", "/ws/camera"])
def test_a_websocket_of_another_page_is_refused(http: TestClient, path: str) -> None:
    for headers in ({}, {"origin": "http://evil.example"}):
        with pytest.raises(WebSocketDisconnect), http.websocket_connect(path, headers=headers):
            pass


def test_answers_let_nothing_from_elsewhere_into_the_page(http: TestClient) -> None:
    for path in ("/", "/static/main.js", "/api/state", "/api/nothing"):
        headers = http.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_token_is_needed_where_others_can_reach_the_page(films: Path) -> None:
    http = _app(films, token="s3cret")
    assert http.get("/", follow_redirects=False).status_code == 401
    assert http.get("/?token=wrong", follow_redirects=False).status_code == 401
    assert http.get("/api/state?token=s3cret").status_code == 401, "the token is taken at the front door only"
    assert http.get("/api/state", headers={"authorization": "Bearer s3cret"}).status_code == 200
    answer = http.get("/?token=s3cret", follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    assert "HttpOnly" in answer.headers["set-cookie"] and "samesite=strict" in answer.headers["set-cookie"].lower()
    assert http.get("/api/state").status_code == 200, "the browser has the cookie now"


def test_only_what_was_named_is_listed_and_no_path_is_told(http: TestClient, films: Path) -> None:
    answer = http.get("/api/state")
    assert [file["name"] for file in answer.json()["files"]] == ["deep/a.mp4"]
    assert str(films.parent) not in answer.text


@pytest.mark.parametrize(
    "path",
    ["../secret.mp4", "link.mp4", "/etc/passwd", "deep/../../secret.mp4", "~/secret.mp4", "", ".", "notes.txt", "a\0b",
     "deep", "x" * 5000],
)  # fmt: skip
def test_a_path_outside_is_refused_in_the_same_words(http: TestClient, films: Path, path: str) -> None:
    for typed in {path, str(films / path) if path and not path.startswith(("/", "~")) else path}:
        answer = http.post("/api/open", json={"path": typed}, headers=OWN)
        assert answer.status_code == 500 or answer.status_code == 400
        assert "is not one of the files that this studio may open" in answer.json()["words"]


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/../secret.mp4"]
)
def test_static_files_do_not_lead_out_of_their_folder(http: TestClient, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 404 and "import" not in answer.text


@pytest.mark.parametrize("id", ["../../secret.mp4", "..%2f..%2fsecret", "0" * 16, "a/b"])
def test_an_invented_identifier_finds_nothing(http: TestClient, id: str) -> None:
    for path in (f"/api/source/{id}/frame", f"/api/jobs/{id}/output", f"/api/card/picture:{id}"):
        assert http.get(path).status_code in (400, 404, 500)


@pytest.mark.parametrize(
    "name", ["../../evil.png", "..\\..\\evil.png", "/etc/evil.png", "a\0b.png", "-rf.png", "x" * 400 + ".png"]
)
def test_names_of_uploads_are_chosen_by_the_server(tmp_path: Path, name: str) -> None:
    source = Library([], tmp_path).new_upload(name)
    assert source.path.parent.parent == tmp_path / "uploads"
    assert source.path.name == source.name and len(source.name) < 80
    assert source.path.resolve().is_relative_to(tmp_path)


@pytest.mark.parametrize("name", ["evil.exe", "evil.html", "evil", "evil.svg", "evil.png.sh", ".png"])
def test_uploads_of_other_kinds_are_refused(http: TestClient, films: Path, name: str) -> None:
    answer = http.post(f"/api/upload?name={name}", content=b"x", headers=OWN)
    assert answer.status_code >= 400 and "cannot be opened here" in answer.json()["words"]
    assert not list((films.parent / "work" / "uploads").glob("*"))


def test_an_upload_that_is_too_large_is_refused_and_not_kept(films: Path) -> None:
    http = _app(films, max_upload=1)

    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 50_000

    for content in (b"x" * 1_000_001, parts()):
        answer = http.post("/api/upload?name=a.mp4", content=content, headers=OWN)
        assert answer.status_code == 413 and "larger than 1 MB" in answer.json()["words"]
    assert not list((films.parent / "work" / "uploads").glob("*"))


def test_a_body_without_end_is_refused(http: TestClient) -> None:
    answer = http.post("/api/preview", content=b"[" * (2 << 20), headers=OWN)
    assert answer.status_code == 400 and "too long" in answer.json()["words"]
    for body in (b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe"):
        assert http.post("/api/preview", content=body, headers=OWN).status_code == 400


@pytest.mark.parametrize(
    "style", ["/etc/passwd", "../x.pth", "~root/x", "models/collection.safetensors", "a:b", "x.pth"]
)
def test_a_page_cannot_name_a_checkpoint_on_the_disk(http: TestClient, style: str) -> None:
    source = http.get("/api/state").json()["files"][0]["id"]
    regions = [{"kind": "background", "name": "background", "style": {"mix": [{"name": style}]}}]
    answer = http.post("/api/command", json={"recipe": {"source": source, "regions": regions}}, headers=OWN)
    assert answer.status_code == 400 and "There is no style" in answer.json()["words"]


def test_a_plan_cannot_name_files_of_the_disk(http: TestClient) -> None:
    for plan in ('styles = ["/etc/passwd"]', 'styles = ["car=../../x.pth"]'):
        answer = http.post("/api/plan", json={"text": plan}, headers=OWN)
        assert answer.status_code == 400 and "not open here" in answer.json()["words"]
        assert "/etc" not in answer.text


def test_messages_hold_no_paths() -> None:
    said = "The picture /home/ann/films/a b.png cannot be read; see /usr/lib/python/x.py and C:\\Users\\ann\\y.pth."
    told = without_paths(said, {"/home/ann/films/a b.png": "a b.png"})
    assert told == "The picture a b.png cannot be read; see x.py and y.pth."


def test_uploads_go_when_they_are_old_and_not_before(tmp_path: Path) -> None:
    library = Library([], tmp_path)
    old, used = library.new_upload("a.png"), library.new_upload("b.png")
    for source in (old, used):
        source.path.write_bytes(b"x")
        library.keep(source)
    library.remove_old(1, frozenset())
    assert old.path.exists()
    library.remove_old(-1, frozenset({used.id}))
    assert not old.path.parent.exists() and used.path.exists()
    with pytest.raises(InputError):
        library.get(old.id)
    assert Library([], tmp_path).get(used.id).name == "b.png", "uploads of an earlier run are found again"
