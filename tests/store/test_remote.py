"""Views in object storage, against a real S3 protocol server on loopback, and the same through file URLs."""

from __future__ import annotations

import json
import pickle
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import numpy as np
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from counterpoint.catalog.marks import CHECKED_SCHEMA, MARKS_SCHEMA, save_marks
from counterpoint.core.episode import Episode
from counterpoint.core.errors import StoreError, UnknownNameError
from counterpoint.data.batches.arrays import ArrayConfig, ArrayDataset
from counterpoint.data.batches.training import training_windows
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.engine import LocalEngine
from counterpoint.store import Store, StoreWriter, build_video_view, open_store
from counterpoint.store.cloud.objects import ObjectFolder
from counterpoint.store.cloud.publish import publish_views
from counterpoint.store.cloud.remote import RemoteStore

MakeEpisode = Callable[..., Episode]
KEYS = {"access_key_id": "one", "secret_access_key": "two", "region": "us-east-1"}
OPTIONS = ArrayConfig(seconds=1.0, pixels="yuv420")
PLAIN = {"Content-Type": "text/plain"}


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket of a server that runs while the tests do."""

    endpoint: str
    name: str = "fleet"

    @property
    def options(self) -> dict[str, str]:
        return {**KEYS, "endpoint": self.endpoint}

    @property
    def url(self) -> str:
        return f"s3://{self.name}/views"

    def put(self, name: str, data: bytes) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id="one",
            aws_secret_access_key="two",
            region_name="us-east-1",
        )
        client.put_object(Bucket=self.name, Key=f"views/{name}", Body=data)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server: str) -> Bucket:
    urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/reset", method="POST")).read()
    client = boto3.client(
        "s3", endpoint_url=server, aws_access_key_id="one", aws_secret_access_key="two", region_name="us-east-1"
    )
    client.create_bucket(Bucket="fleet")
    return Bucket(endpoint=server)


@pytest.fixture
def store(tmp_path: Path, make_episode: MakeEpisode) -> Store:
    with StoreWriter(tmp_path / "store") as writer:
        for index in range(8):
            writer.add(make_episode(index, camera=index != 3, seconds=3.0))
    store = Store.open(tmp_path / "store")
    build_video_view(store, engine=LocalEngine(workers=1))
    return store


def check_same(remote: RemoteStore, store: Store) -> None:
    here, there = ArrayDataset([store], OPTIONS), ArrayDataset([remote], OPTIONS)
    assert len(here) == len(there)
    for index in range(0, len(here), 3):
        one, other = here[index], there[index]
        assert list(one) == list(other)
        for key, values in one.items():
            np.testing.assert_array_equal(np.asarray(other[key]), np.asarray(values))


def test_windows_from_a_bucket_equal_those_from_the_disk(bucket: Bucket, store: Store, tmp_path: Path) -> None:
    published = publish_views(store, bucket.url, options=bucket.options, block_bytes=1)
    assert (published.episodes, published.blocks, published.uploaded) == (8, 8, 16)
    remote = RemoteStore.open(bucket.url, cache=tmp_path / "cache", options=bucket.options)
    check_same(remote, store)
    check_same(pickle.loads(pickle.dumps(remote)), store)
    assert remote.embodiment("arm") == store.embodiment("arm")
    assert remote.flat().column_names == store.flat().column_names
    again = publish_views(store, bucket.url, options=bucket.options, block_bytes=1)
    assert again.uploaded == 0


def test_the_same_through_a_file_url(store: Store, tmp_path: Path) -> None:
    url = (tmp_path / "published").as_uri()
    publish_views(store, url)
    remote = RemoteStore.open(url, cache=tmp_path / "cache")
    check_same(remote, store)
    with pytest.raises(StoreError, match="only training views are published"):
        ArrayDataset([remote], ArrayConfig(view=""))[0]
    with pytest.raises(UnknownNameError, match="10hz"):
        remote.video_view("10hz")


def test_dropped_ranges_are_left_out_there_too(store: Store, tmp_path: Path) -> None:
    info = store.info("arm-reach-0000")
    row = dict.fromkeys(MARKS_SCHEMA.names) | {
        "episode_id": info.episode_id,
        "content_sha256": info.content_sha256,
        "start_ns": info.start_ns,
        "end_ns": info.start_ns + 1_500_000_000,
        "drop": True,
    }
    save_marks(store.root, pa.Table.from_pylist([row], schema=MARKS_SCHEMA), CHECKED_SCHEMA.empty_table(), {})
    url = (tmp_path / "published").as_uri()
    publish_views(store, url)
    remote = ArrayDataset([RemoteStore.open(url, cache=tmp_path / "cache")], OPTIONS)
    assert remote.reader.left_out_s == ArrayDataset([store], OPTIONS).reader.left_out_s > 1.5
    check_same(RemoteStore.open(url, cache=tmp_path / "cache"), store)


def test_cache_stays_within_its_bytes_and_blocks_come_once_an_epoch(
    bucket: Bucket, store: Store, tmp_path: Path
) -> None:
    publish_views(store, bucket.url, options=bucket.options, block_bytes=1)
    whole = RemoteStore.open(bucket.url, cache=tmp_path / "whole", options=bucket.options)
    check_same(whole, store)
    assert whole.cache.fetched == 15
    limit = whole.cache.num_bytes * 5 // 8  # room for a pool of four blocks
    remote = RemoteStore.open(bucket.url, cache=tmp_path / "small", options=bucket.options, cache_bytes=limit)
    reader = ArrayDataset([remote], OPTIONS).reader
    for position in range(len(reader)):
        reader.sample(3, position)
        assert remote.cache.num_bytes <= limit
    assert remote.cache.fetched == 15
    for position in range(len(reader), 3 * len(reader)):
        reader.sample(3, position)
    assert remote.cache.fetched <= 3 * 15
    tiny = RemoteStore.open(bucket.url, cache=tmp_path / "tiny", options=bucket.options, cache_bytes=1)
    check_same(tiny, store)


def test_wrong_bytes_are_named_after_attempts(bucket: Bucket, store: Store, tmp_path: Path) -> None:
    publish_views(store, bucket.url, options=bucket.options)
    remote = RemoteStore.open(bucket.url, cache=tmp_path / "cache", options=bucket.options)
    _, low, low_bytes, film, film_bytes = remote._state["blocks"][0]
    bucket.put(low, bytes(low_bytes))
    with pytest.raises(StoreError, match="does not match its name"):
        remote.low("arm-reach-0000")
    data = ObjectFolder(bucket.url, bucket.options).get(film)
    bucket.put(film, data[:-100])
    (tmp_path / "whole").mkdir()
    publish_views(store, (tmp_path / "whole").as_uri())
    bucket.put(low, (tmp_path / "whole" / low).read_bytes())
    with pytest.raises(StoreError, match=f"truncated: expected {film_bytes} bytes, got {film_bytes - 100}"):
        remote.low("arm-reach-0000")
    bucket.put(film, data)
    assert len(remote.low("arm-reach-0000")["action"]) == 60


def test_damaged_local_copy_is_fetched_again(bucket: Bucket, store: Store, tmp_path: Path) -> None:
    publish_views(store, bucket.url, options=bucket.options)
    RemoteStore.open(bucket.url, cache=tmp_path / "cache", options=bucket.options).low("arm-reach-0000")
    for path in (tmp_path / "cache").glob("*/blocks/*.arrow"):
        path.write_bytes(path.read_bytes()[:-50])
    remote = RemoteStore.open(bucket.url, cache=tmp_path / "cache", options=bucket.options)
    assert len(remote.low("arm-reach-0000")["action"]) == 60


def test_what_is_not_there_or_not_allowed_says_so(bucket: Bucket, store: Store, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(StoreError, match="not found; check the URL"):
        RemoteStore.open(bucket.url, cache=cache, options=bucket.options)
    with pytest.raises(StoreError, match="no such bucket"):
        RemoteStore.open("s3://elsewhere/views", cache=cache, options=bucket.options)
    bucket.put("current.json", b"{}")
    with pytest.raises(StoreError, match=r"current\.json: damaged"):
        RemoteStore.open(bucket.url, cache=cache, options=bucket.options)
    bucket.put("current.json", json.dumps({"format": "counterpoint-published", "version": 9}).encode())
    with pytest.raises(StoreError, match="version 9, this program reads version 2"):
        RemoteStore.open(bucket.url, cache=cache, options=bucket.options)
    with pytest.raises(StoreError, match="cannot open this URL"):
        RemoteStore.open("ftp://fleet/views", cache=cache)
    closed = {**bucket.options, "endpoint": "http://127.0.0.1:9"}
    with pytest.raises(StoreError, match="cannot be reached"):
        RemoteStore.open(bucket.url, cache=cache, options=closed, retries=1)


def test_wrong_credentials_say_so(bucket: Bucket, tmp_path: Path) -> None:
    request = urllib.request.Request(f"{bucket.endpoint}/moto-api/reset-auth", data=b"0", method="POST", headers=PLAIN)
    urllib.request.urlopen(request).read()
    try:
        with pytest.raises(StoreError, match="access refused; check the credentials"):
            RemoteStore.open(bucket.url, cache=tmp_path, options=bucket.options)
    finally:
        request = urllib.request.Request(
            f"{bucket.endpoint}/moto-api/reset-auth", data=b"inf", method="POST", headers=PLAIN
        )
        urllib.request.urlopen(request).read()


def test_pictures_must_be_in_the_view(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not in the video view '10hz'"):
        publish_views(store, (tmp_path / "p").as_uri(), preset="10hz")


def test_training_reads_from_a_bucket(
    bucket: Bucket, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address of a publication takes the place of a store's folder; the windows are the same."""
    publish_views(store, bucket.url, options=bucket.options)
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path))
    for name, value in {**KEYS, "endpoint": bucket.endpoint, "allow_http": "true"}.items():
        monkeypatch.setenv(f"AWS_{name.upper()}", value)
    selection = Selection(split="all")
    processor = Processor.fit([store], selection=selection)
    remote = open_store(Path(bucket.url))
    assert isinstance(remote, RemoteStore)
    here, there = (
        training_windows([source], processor, select_episodes([source], selection)) for source in (store, remote)
    )
    assert len(here) == len(there)
    for index in range(0, len(here), 7):
        np.testing.assert_array_equal(here[index].decision_s, there[index].decision_s)
        np.testing.assert_array_equal(here[index].values, there[index].values)
