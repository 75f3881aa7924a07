"""Plan files that are broken or hostile."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segnst.config import Settings, read_plan_file
from segnst.errors import SegnstError
from segnst.plan import parse_plan

FIELDS = [f.name for f in dataclasses.fields(Settings)]
values = st.one_of(
    st.sampled_from(
        ["nan", "inf", "-inf", "1e999", "-1", "0", "true", "9" * 400, '"x"', '"a\\u0000b"', "{}", "1979-05-27"]
    ),
    st.sampled_from(
        ["[" * 5000 + "]" * 5000, '["a", 1]', "[[]]", '""', '["car=a@nan"]', '["car=a*inf"]', '["0:a,1e999:b"]']
    ),
    st.integers(-5, 100).map(str),
    st.floats().map(str),
)
quick = settings(derandomize=True, max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


def use(path: Path) -> None:
    parse_plan(Settings(**read_plan_file(path)).styles)


@pytest.mark.parametrize(
    "text",
    [
        "styles = " + "[" * 100_000,
        "a" + ".a" * 50_000 + " = 1",
        "[a" + " . 'a'" * 50_000 + "]",
        "a = {b = 1, c" + '."a"' * 50_000 + " = 1}",
        "crf = " + "9" * 5000,
        "start = nan",
        "end = inf",
        "max_size = 10000000000000000000",
        "fps = -1",
        'styles = ["a"]\nstyles = ["b"]',
        "x" * 100_000 + " = 1",
        "\xff",
        "",
    ],
)
def test_plans_that_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.toml").write_bytes(text.encode("latin1"))
    with pytest.raises(SegnstError) as caught:
        use(tmp_path / "a.toml")
    assert len(str(caught.value)) < 1500 and "\n" not in str(caught.value)


def test_a_plan_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b'\xef\xbb\xbfstyles = ["starry_night"]')
    use(tmp_path / "a.toml")


@quick
@given(st.dictionaries(st.sampled_from([*FIELDS, "x", '"a b"', "a.b"]), values, max_size=4))
def test_any_plan_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("h") / "a.toml"
    path.write_text("\n".join(f"{key} = {value}" for key, value in content.items()))
    try:
        use(path)
    except SegnstError as error:
        assert "\n" not in str(error)


@quick
@given(st.text(max_size=40), st.sampled_from(["{}", "car={}", "{}=a", "car=a@{}", "car=a*{}", "car=0:a,{}:b", "a+{}"]))
def test_any_entry_is_read_or_refused(text: str, where: str) -> None:
    with contextlib.suppress(SegnstError):
        parse_plan([where.format(text)])
