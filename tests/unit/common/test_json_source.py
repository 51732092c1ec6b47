"""JSON files and the lines of what is in them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from common.patterns.json_source import MAX_BYTES, MAX_DEPTH, read_json

# Postgres stores neither NUL nor half a surrogate pair, and so neither do we.
STRINGS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=20,
)


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "file.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def fault(folder: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read_json(write(folder, text))
    return caught.value.message.removeprefix(f"{folder}/")


def test_every_key_and_item_has_its_line(tmp_path: Path) -> None:
    text = '{\n"a": [\n1,\n{"b":\n2}, []\n],\r\n"c\\/\\ud83d\\ude00"\n: {}, "d": "[{,:\\"\\\\"}\n'
    source = read_json(write(tmp_path, text))
    assert source.data == json.loads(text)
    assert source.lines == {
        ("a",): 2,
        ("a", 0): 3,
        ("a", 1): 4,
        ("a", 1, "b"): 4,
        ("a", 2): 5,
        ("c/😀",): 7,
        ("d",): 8,
    }


def places(data: Any, place: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    inner = list(data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ())
    return {(*place, key) for key, _ in inner}.union(*(places(value, (*place, key)) for key, value in inner))


@given(document=DOCUMENTS, indent=st.sampled_from([None, 2, "\t"]), is_ascii=st.booleans())
def test_whatever_json_is_read_as_it_is_and_every_place_in_it_is_found(
    tmp_path_factory: pytest.TempPathFactory, document: Any, indent: Any, is_ascii: bool
) -> None:
    path = tmp_path_factory.mktemp("json") / "file.json"
    text = json.dumps(document, indent=indent, ensure_ascii=is_ascii)
    path.write_text(text, encoding="utf-8", newline="")
    source = read_json(path)
    assert source.data == document
    assert set(source.lines) == places(document)
    assert all(1 <= line <= text.count("\n") + 1 for line in source.lines.values())


@given(st.binary(max_size=60) | st.text(alphabet='[]{},:"\\0e-nulltrue \n', max_size=60).map(str.encode))
def test_whatever_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "file.json"
    path.write_bytes(raw)
    try:
        source = read_json(path)
    except ConfigError:
        return
    assert source.data == json.loads(raw.decode("utf-8-sig"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{\n"a": 1,\n}', "file.json:3: expecting property name enclosed in double quotes"),
        ('{\n"a": 1\n"b": 2}', "file.json:3: expecting ',' delimiter"),
        ("", "file.json:1: expecting value"),
        ('{"a": 1, "a": 2}', "file.json:1: a: said before, in line 1"),
        ('{"x": [{\n"a": 1,\n"\\u0061": 2}]}', "file.json:3: x.0.a: said before, in line 2"),
        ('[1,\n"\\ud800"]', 'file.json:2: "\\ud800": holds NUL or half a character'),
        ('{"k\\u0000": 1}', 'file.json:1: "k\\u0000": holds NUL'),
        ("[NaN]", "file.json: NaN is no number of JSON"),
        ("[" + "9" * 5000 + "]", "file.json: cannot be read: Exceeds the limit"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "file.json:1: more than 32 brackets inside each other"),
        ("[" * 100_000, "file.json: cannot be read"),
        (b"\xff\xfe{}", "file.json: cannot be read"),
        (b'"' + b"x" * MAX_BYTES + b'"', "file.json: longer than 1048576 bytes"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str | bytes, complaint: str) -> None:
    assert fault(tmp_path, text).startswith(complaint)


def test_a_mark_at_the_beginning_is_no_fault(tmp_path: Path) -> None:
    assert read_json(write(tmp_path, b"\xef\xbb\xbf{}")).data == {}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.json: cannot be read"):
        read_json(tmp_path / "absent.json")
