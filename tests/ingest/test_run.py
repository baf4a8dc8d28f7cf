"""Ingest in parallel: the same store as in one process, each content once, bad items put aside once."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest
from lerobot_v3_writer import write_v30
from lerobot_writers import CAMERA, write_v21

from counterpoint.cli.main import main
from counterpoint.core.errors import StoreError
from counterpoint.engine import LocalEngine, open_engine
from counterpoint.ingest import ReadOptions, ingest, load_mapping, open_source, prepare
from counterpoint.ingest.pipeline.ledger import Ledger, claim_name
from counterpoint.ingest.pipeline.quarantine import Quarantined, QuarantineList
from counterpoint.store import Store, ViewFrames
from counterpoint.store.cloud import RemoteStore


def contents(root: Path) -> list[str]:
    """Return what a store holds, episode by episode."""
    store = Store.open(root)
    assert store.verify() == []
    return sorted(info.content_sha256 for info in store.episodes)


def test_two_processes_give_the_same_store_as_one(tmp_path: Path) -> None:
    sources = [
        write_v21(tmp_path / "a", (5, 6, 7), video=True).root,
        write_v30(tmp_path / "b", (4, 9, 8, 3), fps=20).root,
    ]
    (tmp_path / "a/data/chunk-000/episode_000001.parquet").write_bytes(b"PAR1")
    one = ingest(sources, tmp_path / "one", progress=False)
    two = ingest(sources, tmp_path / "two", engine=LocalEngine(2), progress=False)
    assert (two.added, two.skipped) == (one.added, one.skipped) == (6, 0)
    assert [bad.reason for bad in two.quarantined] == ["truncated"]
    assert two.to_dict() == one.to_dict()
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert Store.open(tmp_path / "two").embodiments == Store.open(tmp_path / "one").embodiments


def copies(folder: Path, count: int) -> list[Path]:
    """Return folders of other names with the same recordings."""
    made = write_v21(folder / "set-0", (5, 6, 7, 4), video=True)
    for number in range(1, count):
        shutil.copytree(made.root, folder / f"set-{number}")
    return sorted(folder.iterdir())


def test_content_comes_in_once_whoever_reads_it(tmp_path: Path) -> None:
    sources = copies(tmp_path / "sets", 3)
    report = ingest(sources, tmp_path / "store", engine=LocalEngine(2), progress=False)
    assert (report.added, report.skipped, report.quarantined) == (4, 8, [])
    assert len(contents(tmp_path / "store")) == 4


def _ingest(sources: list[Path], into: Path) -> None:
    ingest(sources, into, progress=False)


def test_two_ingests_at_once_add_each_content_once(tmp_path: Path) -> None:
    sources = copies(tmp_path / "sets", 6)
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_ingest, args=(part, tmp_path / "store")) for part in (sources, sources[::-1])]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    hashes = [info.provenance.content_hash for info in Store.open(tmp_path / "store").episodes]
    assert len(hashes) == len(set(hashes)) == 4


def test_a_claim_whose_owner_died_is_taken_over(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set", (5,))
    source = open_source(made.root, ReadOptions())
    content = source.content_hash(source.items()[0])
    ingest([], tmp_path / "store", progress=False)
    ledger = Ledger(tmp_path / "store")
    with ledger.claim(content, "never-committed") as holder:
        assert holder is None
    with ledger.claim(content, "never-committed-either") as holder:
        assert holder is None
    with (tmp_path / "store/catalogue/content" / f"{content[:2]}.txt").open("a") as file:
        file.write(f"{content} torn")
    assert ingest([made.root], tmp_path / "store", progress=False).added == 1
    assert ledger.existing(content) is not None
    shutil.rmtree(tmp_path / "store/catalogue")  # derived: made again from the store
    assert ingest([made.root], tmp_path / "store", progress=False).skipped == 1


def test_the_first_robot_of_a_name_keeps_it(tmp_path: Path) -> None:
    assert claim_name(tmp_path, "arm", "a" * 64)
    assert claim_name(tmp_path, "arm", "a" * 64)
    assert not claim_name(tmp_path, "arm", "b" * 64)


def test_a_given_robot_whose_name_is_taken_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set", (5,))
    mapping = open_source(made.root, ReadOptions()).mapping
    ingest([made.root], tmp_path / "store", progress=False)
    other = open_source(write_v21(tmp_path / "other", (4,), fps=20).root, ReadOptions()).mapping
    assert other.robot.name == mapping.robot.name
    with pytest.raises(StoreError, match="has another robot called 'test_arm'"):
        ingest([tmp_path / "other"], tmp_path / "store", robot=other, progress=False)
    assert len(Store.open(tmp_path / "store")) == 1


def test_what_is_bad_is_listed_once(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set", (5, 6))
    (made.root / "data/chunk-000/episode_000000.parquet").write_bytes(b"")
    for _ in range(2):
        report = ingest([made.root, tmp_path / "nowhere"], tmp_path / "store", progress=False)
        assert [bad.reason for bad in report.quarantined] == ["missing_file", "empty_file"]
    listed = (tmp_path / "store/quarantine.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in listed] == ["missing_file", "empty_file"]


def test_a_line_that_a_power_cut_tore_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "quarantine.jsonl").write_text('{"path": "x", "item": ""')
    bad = Quarantined(path="a", item="b", reason="truncated", message="")
    for _ in range(2):
        QuarantineList(tmp_path).add(bad)
    lines = (tmp_path / "quarantine.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[1])["path"] == "a"


def test_a_folder_is_searched_for_logs(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    write_v21(root / "monday" / "one", (4, 5))
    write_v30(root / "tuesday", (3, 6, 7), video=False, fps=20)
    (root / "README.md").write_text("what we did")
    (root / ".hidden.mcap").write_text("x")
    (root / "cut.mcap").write_bytes(b"")
    (root / "odd.bag").write_bytes(b"no bag at all")
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "again").symlink_to(root / "monday")
    report = ingest([root], tmp_path / "store", engine=LocalEngine(2), progress=False)
    assert report.added == 5
    found = {Path(bad.path).name: bad.reason for bad in report.quarantined}
    assert found == {"link": "path_outside", "cut.mcap": "empty_file", "odd.bag": "unknown_format"}
    assert {name: report.notes[name] for name in ("not_a_log", "not_a_log:.md", "link_left_out")} == {
        "not_a_log": 1,
        "not_a_log:.md": 1,
        "link_left_out": 1,
    }
    first = [info.episode_id for info in Store.open(tmp_path / "store").episodes]
    ingest([root], tmp_path / "again", progress=False)
    assert [info.episode_id for info in Store.open(tmp_path / "again").episodes] == first


def test_only_the_format_asked_for_is_searched(tmp_path: Path) -> None:
    write_v21(tmp_path / "logs" / "one", (4,))
    (tmp_path / "logs" / "table.csv").write_text("a,b\n1,2\n")
    report = ingest([tmp_path / "logs"], tmp_path / "store", format="lerobot", progress=False)
    assert (report.added, report.quarantined, report.notes["not_a_log"]) == (1, [], 1)


def test_a_log_without_the_camera_brings_no_video(tmp_path: Path) -> None:
    seen = write_v21(tmp_path / "seen", (5, 6), video=True)
    (seen.root / f"videos/chunk-000/{CAMERA}/episode_000001.mp4").unlink()
    ingest([seen.root], tmp_path / "store", progress=False)
    blind = write_v21(tmp_path / "blind", (5, 6), video=False)
    report = ingest([blind.root], tmp_path / "store", progress=False)
    assert (report.skipped, report.notes) == (2, {})


def test_a_video_that_turns_up_later_is_told(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set", (5, 6), video=True)
    video = made.root / f"videos/chunk-000/{CAMERA}/episode_000001.mp4"
    aside = video.rename(tmp_path / "aside.mp4")
    assert ingest([made.root], tmp_path / "store", progress=False).notes == {f"missing_video:{CAMERA}": 1}
    assert ingest([made.root], tmp_path / "store", progress=False).notes == {}
    aside.rename(video)
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert (report.added, report.skipped) == (0, 2)
    assert report.notes == {f"video_found_later:{CAMERA}": 1}
    (blind,) = (info for info in Store.open(tmp_path / "store").episodes if info.provenance.notes)
    (folder,) = (tmp_path / "store/episodes").glob(f"*/{blind.episode_id}")
    shutil.rmtree(folder)  # as the report advises
    assert ingest([made.root], tmp_path / "store", progress=False).added == 1
    assert all(info.provenance.notes == () for info in Store.open(tmp_path / "store").episodes)


def test_prepare_builds_the_views_once(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set", (20, 30), video=True)
    ingest([made.root], tmp_path / "store", progress=False)
    first = prepare(tmp_path / "store", progress=False)
    assert (first.episodes, first.streams_built, first.failed) == (2, 2, {})
    again = prepare(tmp_path / "store", progress=False)
    assert (again.streams_built, again.streams_present) == (0, 2)
    view = ViewFrames(tmp_path / "store")
    assert all(view.has(info.content_sha256, "camera/top") for info in Store.open(tmp_path / "store").episodes)


def reply(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    code = main([*words, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return code, found


def test_command_line_writes_a_mapping_reads_it_and_prepares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = write_v21(tmp_path / "logs" / "set", (12, 8), video=True)
    path, store = tmp_path / "mapping.json", tmp_path / "store"
    code, found = reply(["ingest", str(tmp_path / "logs"), "--write-mapping", str(path)], capsys)
    assert (code, found["streams"]) == (0, {"action": "action", "proprioception": "observation.state"})
    assert load_mapping(path).robot.name == "test_arm"
    assert not store.exists()
    assert main(["ingest", str(made.root), "--write-mapping", str(path)]) == 2  # never overwritten
    assert main(["ingest", str(made.root)]) == 2
    assert main(["ingest", str(made.root), "--into", str(store), "--address", "auto"]) == 2
    capsys.readouterr()
    words = ["ingest", str(made.root), "--into", str(store), "--robot", str(path), "--workers", "1"]
    code, found = reply(words, capsys)
    assert (code, found["added"]) == (0, 2)
    prepared = found["prepared"]
    assert isinstance(prepared, dict)
    assert prepared["streams_built"] == 2
    url = (tmp_path / "published").as_uri()
    code, found = reply(["prepare", str(store), "--workers", "1", "--publish", url], capsys)
    assert (code, found["streams_present"]) == (0, 2)
    assert found["published"] == {"url": url, "episodes": 2, "uploaded": 4}  # streams, pictures, marks, index
    assert len(RemoteStore.open(url, cache=tmp_path / "cache")) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray warns of its own ways
def test_ray_gives_the_same_store(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    made = write_v30(tmp_path / "set", (4, 9, 8, 3))
    (made.root / "data/chunk-000/file-001.parquet").write_bytes(b"PAR1")
    ours = ingest([made.root], tmp_path / "one", progress=False)
    engine = open_engine("ray")
    theirs = ingest([made.root], tmp_path / "two", engine=engine, progress=False)
    assert theirs.to_dict() == ours.to_dict()
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    prepare(tmp_path / "one", progress=False)
    prepare(tmp_path / "two", engine=engine, progress=False)
    assert marked(tmp_path / "one") == marked(tmp_path / "two")


def marked(root: Path) -> dict[str, bytes]:
    """Return the coded pictures of the video view."""
    view = ViewFrames(root)
    return {
        info.episode_id: view.stream(info.content_sha256, "camera/top").data.tobytes()
        for info in Store.open(root).episodes
    }
