"""Values of any message are those that `rosbags` and `mcap-ros2-support` decode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap_ros2._dynamic import generate_dynamic
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from counterpoint.core.errors import IngestError
from counterpoint.ingest.messages.decode import MAX_KNOWN, LayoutDecoder
from counterpoint.ingest.messages.topic import MessageBatch, Topic

KIND = "test_msgs/msg/Everything"
DEFINITION = """uint8 FIRST=1
bool flag
float64 wide
int8 small
uint16[] words
float32[3] fixed
string text
test_msgs/Part[] parts
int64[<=5] longs
string[] names
test_msgs/Part part
uint8[] blob
bool[2] pair
test_msgs/Nothing nothing
float64 last
================================================================================
MSG: test_msgs/Part
int16 a
float64[] b
string c
================================================================================
MSG: test_msgs/Nothing
"""
doubles = st.floats(allow_nan=False)
words = st.text(st.characters(min_codepoint=1, max_codepoint=0x24F), max_size=9)
part = st.fixed_dictionaries({"a": st.integers(-(2**15), 2**15 - 1), "b": st.lists(doubles, max_size=3), "c": words})
everything = st.fixed_dictionaries(
    {
        "flag": st.booleans(),
        "wide": doubles,
        "small": st.integers(-128, 127),
        "words": st.lists(st.integers(0, 65_535), max_size=4),
        "fixed": st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3),
        "text": words,
        "parts": st.lists(part, max_size=3),
        "longs": st.lists(st.integers(-(2**53), 2**53), max_size=5),
        "names": st.lists(words, max_size=3),
        "part": part,
        "blob": st.binary(max_size=5),
        "pair": st.lists(st.booleans(), min_size=2, max_size=2),
        "last": doubles,
    }
)


def stores() -> tuple[Any, Any]:
    """Return typestores of ROS 1 and ROS 2 that know the test's message."""
    made = []
    for name in (Stores.ROS1_NOETIC, Stores.ROS2_HUMBLE):
        store = get_typestore(name)
        store.register(get_types_from_msg(DEFINITION, KIND))
        made.append(store)
    return made[0], made[1]


ROS1, ROS2 = stores()
DYNAMIC = generate_dynamic(KIND, DEFINITION)[KIND]


def as_message(raw: dict[str, Any], store: Any) -> Any:
    types = store.types
    kinds = {"words": np.uint16, "fixed": np.float32, "longs": np.int64, "pair": np.bool_}

    def one(values: dict[str, Any]) -> Any:
        return types["test_msgs/msg/Part"](a=values["a"], b=np.asarray(values["b"], np.float64), c=values["c"])

    nothing = types["test_msgs/msg/Nothing"]
    fields = {
        **raw,
        **{name: np.asarray(raw[name], kind) for name, kind in kinds.items()},
        "blob": np.frombuffer(raw["blob"], np.uint8),
        "parts": [one(values) for values in raw["parts"]],
        "part": one(raw["part"]),
        "nothing": nothing(**({"structure_needs_at_least_one_member": 0} if store is ROS2 else {})),
    }
    return types[KIND](**fields)


def flat(raw: Any, path: str = "") -> tuple[dict[str, list[float]], dict[str, object]]:
    """Return what the batches should hold, from the plain values."""
    numbers: dict[str, list[float]] = {}
    texts: dict[str, object] = {}
    for name, value in raw.items():
        here = f"{path}.{name}" if path else name
        inner = {f"{here}[{index}]": each for index, each in enumerate(value)} if name == "parts" else {}
        if name == "part":
            inner = {here: value}
        for where, each in inner.items():
            more = flat(each, where)
            numbers.update(more[0])
            texts.update(more[1])
        if name in ("text", "c"):
            texts[here] = value
        elif name == "names":
            texts[here] = tuple(value)
        elif name not in ("parts", "part", "blob"):
            numbers[here] = [float(each) for each in (value if isinstance(value, list) else [value])]
    return numbers, texts


def check(batch: MessageBatch, place: int, raw: dict[str, Any]) -> None:
    numbers, texts = flat(raw)
    found = {path: values[place].astype(np.float64).tolist() for path, values in batch.numbers.items()}
    found.pop("nothing.structure_needs_at_least_one_member", None)
    assert found == numbers
    assert dict(batch.texts) == texts
    assert bytes(batch.blobs["blob"][place]) == raw["blob"]


@settings(max_examples=60, deadline=None)
@given(st.lists(everything, min_size=1, max_size=6), st.sampled_from(["cdr", "ros1"]), st.booleans())
def test_any_message_decodes_to_its_values(raws: list[dict[str, Any]], encoding: str, little: bool) -> None:
    if encoding == "cdr":
        payloads = [bytes(ROS2.serialize_cdr(as_message(raw, ROS2), KIND, little_endian=little)) for raw in raws]
        for raw, payload in zip(raws, payloads, strict=True):
            if little:
                oracle = DYNAMIC(payload)
                assert (oracle.wide, oracle.text, oracle.last) == (raw["wide"], raw["text"], raw["last"])
    else:
        payloads = [bytes(ROS1.serialize_ros1(as_message(raw, ROS1), KIND)) for raw in raws]
    topic = Topic(name="/x", type="test_msgs/Everything", encoding=encoding, schema=DEFINITION.encode())
    decoder = LayoutDecoder(topic, "file")
    for _ in range(2):  # the second time all layouts are known
        batches = decoder.decode(payloads)
        assert sorted(np.concatenate([batch.rows for batch in batches]).tolist()) == list(range(len(raws)))
        for batch in batches:
            for place, row in enumerate(batch.rows.tolist()):
                check(batch, place, raws[row])


def test_more_layouts_than_are_kept_are_read_one_by_one() -> None:
    topic = Topic(name="/x", type="std_msgs/String", encoding="cdr", schema=b"string data")
    payloads = [b"\0\1\0\0\5\0\0\0%04d\0" % row for row in range(3 * MAX_KNOWN)]
    batches = LayoutDecoder(topic, "file").decode(payloads)
    texts = {int(batch.rows[0]): batch.texts["data"] for batch in batches}
    assert texts == {row: f"{row:04d}" for row in range(3 * MAX_KNOWN)}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "bad_message"),
        (b"\0\1\0", "bad_message"),
        (b"\0\2\0\0" + bytes(8), "unknown_encoding"),
        (b"\0\1\0\0" + b"\xff\xff\xff\xff", "bad_message"),
        (b"\0\1\0\0" + b"\1\0\0\0" + bytes(7), "bad_message"),
        (b"\0\1\0\0" + bytes(4) + bytes(40), "bad_message"),
    ],
)
def test_lengths_are_checked_before_anything_is_read(payload: bytes, reason: str) -> None:
    topic = Topic(name="/x", type="a/B", encoding="cdr", schema=b"float64[] data")
    with pytest.raises(IngestError) as error:
        LayoutDecoder(topic, "file").decode([payload])
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("schema", "payload", "reason"),
    [
        (b"a/Missing x", bytes(32), "bad_schema"),
        (b"a/B x", bytes(32), "bad_schema"),
        (b"float65 x", bytes(32), "bad_schema"),
        (b"wstring x", bytes(32), "bad_schema"),
        (b"a/N[4000000000] x\n" + 80 * b"=" + b"\nMSG: a/N\n", bytes(32), "absurd_size"),
        (b"\xff\xfe", bytes(32), "bad_schema"),
        (b"x" * 2**21, bytes(32), "absurd_size"),
    ],
)
def test_bad_definitions_have_a_reason(schema: bytes, payload: bytes, reason: str) -> None:
    topic = Topic(name="/x", type="a/B", encoding="ros1", schema=schema)
    with pytest.raises(IngestError) as error:
        LayoutDecoder(topic, "file").decode([payload])
    assert error.value.reason == reason


IDL = b"""================================================================================
IDL: test_msgs/msg/Small
module test_msgs { module msg {
  struct Small { double x; sequence<float> y; std_msgs::msg::Note note; };
}; };
================================================================================
IDL: std_msgs/msg/Note
module std_msgs { module msg { struct Note { string text; }; }; };
"""


def test_definitions_in_idl() -> None:
    topic = Topic(name="/x", type="test_msgs/Small", encoding="cdr", schema_encoding="ros2idl", schema=IDL)
    payload = (
        b"\0\1\0\0"
        + np.float64(2.5).tobytes()
        + b"\2\0\0\0"
        + np.asarray([1, 2], np.float32).tobytes()
        + b"\3\0\0\0hi\0"
    )
    (batch,) = LayoutDecoder(topic, "file").decode([payload, payload])
    assert batch.numbers["x"].tolist() == [[2.5], [2.5]]
    assert batch.numbers["y"].tolist() == [[1, 2], [1, 2]]
    assert batch.texts == {"note.text": "hi"}
