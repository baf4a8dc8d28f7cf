"""What the tests of all readers do: read everything, ask for the reason, spoil bytes, give a mapping back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from counterpoint.core.errors import CounterpointError, IngestError
from counterpoint.ingest import Ingested, LogSource, ReadOptions, load_mapping, save_mapping

Open = Callable[[Path, ReadOptions], LogSource]


def read_all(source: LogSource) -> list[Ingested]:
    """Read every item."""
    return [source.read(item) for item in source.items()]


def reason_of(opening: Open, path: Path, item: str | None = None, options: ReadOptions | None = None) -> str:
    """Return the reason code of what is wrong with the log or its items, empty where all can be read.

    Anything but the errors that `ingest` expects of a reader is raised: it has not been foreseen.
    """
    try:
        source = opening(path, options or ReadOptions())
        for each in source.items() if item is None else [item]:
            source.content_hash(each)
            source.read(each)
    except IngestError as error:
        return error.reason if str(error) else "no message"
    except CounterpointError:  # a stream or robot that breaks a contract; `ingest` calls it so
        return "bad_value"
    return ""


def again_with_its_own_mapping(opening: Open, path: Path, file: Path) -> None:
    """Save the guessed mapping, give it back, and see the same episodes."""
    first = opening(path, ReadOptions())
    save_mapping(first.mapping, file)
    second = opening(path, ReadOptions(robot=load_mapping(file)))
    assert second.mapping.robot == first.mapping.robot
    assert list(second.items()) == list(first.items())
    for item in first.items():
        assert second.content_hash(item) == first.content_hash(item)
        one, two = first.read(item), second.read(item)
        assert set(one.episode.streams) == set(two.episode.streams)
        assert set(one.videos) == set(two.videos)
        for name, stream in one.episode.streams.items():
            assert stream.spec == two.episode.streams[name].spec
            np.testing.assert_array_equal(stream.capture_ns, two.episode.streams[name].capture_ns)
            np.testing.assert_array_equal(stream.values, two.episode.streams[name].values)


def spoilt(path: Path, data: st.DataObject) -> None:
    """Change some bytes of a file, and perhaps cut it."""
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2, 100, 9]))])
