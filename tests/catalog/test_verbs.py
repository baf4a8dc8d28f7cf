"""The verbs `catalog`, `mix` and `show`, as typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from catalog_episodes import episode, make_store

from counterpoint.cli.main import main
from counterpoint.store import Store

TEXT = "put the caf\u00e9 cup </script><b> away"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = [
        episode(f"e{i}", seed=i % 5, seconds=2, task=f"task_{i % 2}", instruction=TEXT, site=f"site {i}", success=i > 2,
                picture=i % 5)
        for i in range(6)
    ]  # fmt: skip
    return make_store(tmp_path_factory.mktemp("verbs") / "a <store>", made)


def asked(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> dict[str, Any]:
    assert main([*map(str, words), "--json"]) == code
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_summary_and_list(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    summary = asked(capsys, "catalog", store.root)
    assert (summary["episodes"], summary["by_task"]["task_0"]["episodes"]) == (6, 3)
    assert summary["by_task"]["task_1"]["success_rate"] == pytest.approx(2 / 3)
    listed = asked(capsys, "catalog", store.root, "list", "--limit", 2)
    assert (len(listed["episodes"]), listed["is_cut"]) == (2, True)
    assert main(["catalog", str(store.root)]) == 0
    assert "site 3" in capsys.readouterr().out


def test_query_search_duplicates(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    answer = asked(
        capsys, "catalog", store.root, "query", "SELECT task, count(*) n FROM episodes GROUP BY 1 ORDER BY 1"
    )
    assert answer["rows"] == [{"task": "task_0", "n": 3}, {"task": "task_1", "n": 3}]
    assert asked(capsys, "catalog", store.root, "search", "caf\u00e9", "cups")["hits"][0]["episodes"] == 3
    clusters = asked(capsys, "catalog", store.root, "duplicates", "--workers", 1)["clusters"]
    assert [cluster["episodes"] for cluster in clusters] == [["e0", "e5"]]
    joined = "SELECT count(*) AS n FROM clusters JOIN episodes USING (episode_id) WHERE cluster <> episode_id"
    assert asked(capsys, "catalog", store.root, "query", joined)["rows"] == [{"n": 1}]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["query"], "query: expected"),
        (["query", "DROP TABLE x"], "expected"),
        (["search"], "search: expected"),
        (["list", "--limit", "0"], "limit: expected"),
        (["summary", "more"], "'more'"),
    ],
)
def test_bad_usage(store: Store, capsys: pytest.CaptureFixture[str], words: list[str], named: str) -> None:
    assert named in asked(capsys, "catalog", store.root, *words, code=2)["error"]


def test_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_store(tmp_path / "none").root
    assert asked(capsys, "catalog", root)["episodes"] == 0
    assert asked(capsys, "catalog", root, "search", "cup")["hits"] == []
    assert asked(capsys, "catalog", root, "duplicates")["clusters"] == []
    assert asked(capsys, "catalog", root, "query", "SELECT * FROM episodes")["rows"] == []
    assert asked(capsys, "catalog", root, "map", "--out", tmp_path / "map.html")["points"] == 0
    for words in ([], ["list"], ["duplicates"], ["search", "x"], ["query", "SELECT * FROM episodes"]):
        assert main(["catalog", str(root), *words]) == 0


def test_map(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "map.html"
    asked(capsys, "catalog", store.root, "map", "--out", page, "--thumbnails", "--workers", 1)
    html = page.read_text(encoding="utf-8")
    assert "Plotly" in html
    assert "http" not in html[html.index("const data = ") :]
    assert TEXT not in html
    start = html.index("const data = ") + len("const data = ")
    data, _ = json.JSONDecoder().raw_decode(html[start:])
    assert data["instruction"]["names"] == [TEXT]
    assert sorted(data["id"]) == [f"e{i}" for i in range(6)]
    assert len(data["pictures"]) == 6
    assert asked(capsys, "catalog", store.root, "map", "--out", page, "--limit", 4)["points"] == 4
    assert "a &lt;store&gt;" in html


def test_mix(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["mix", store.root, "--part", "late=success", "--part", "rest=true", "--weight", "rest=0.25",
             "--cap-hours", "1", "--split", "duplicate", "site", "--test", "0.2", "--into", tmp_path / "m"]  # fmt: skip
    made = asked(capsys, *words)
    assert [part["name"] for part in made["parts"]] == ["late", "rest"]
    assert made["parts"][1]["weight"] == 0.25
    assert made["splits"]["train"]["groups"] + made["splits"]["test"]["groups"] == 5
    assert asked(capsys, *words)["hash"] == made["hash"]
    assert main(list(map(str, words))) == 0
    assert "sampling weight" in capsys.readouterr().out
    for bad in (
        ["--part", "x"],
        ["--weight", "nobody=1"],
        ["--cap-hours", "much"],
        ["--part", "a=true", "--part", "a=false"],
    ):
        assert "error" in asked(capsys, "mix", store.root, *bad, "--into", tmp_path / "other", code=2)
    assert "error" in asked(capsys, "mix", store.root, "--temperature", "0", "--into", tmp_path / "other", code=2)
    assert not (tmp_path / "other").exists()


def test_show(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = asked(capsys, "show", store.root, "e1", "--save", tmp_path / "e1.rrd", "--html", tmp_path / "e1.html")
    assert shown["streams"]["camera/front"] == 10
    assert (tmp_path / "e1.rrd").read_bytes()[:4] == b"RRF2"
    html = (tmp_path / "e1.html").read_text(encoding="utf-8")
    assert html.count("data:image/jpeg") == 8
    assert "caf\u00e9 cup &lt;/script&gt;" in html
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert "--save" in asked(capsys, "show", store.root, "e1", code=2)["error"]
    assert "did you mean" in asked(capsys, "show", store.root, "e11", "--save", tmp_path / "x.rrd", code=2)["error"]
    (tmp_path / "folder").mkdir()
    assert "--save" in asked(capsys, "show", store.root, "e1", "--save", tmp_path / "folder", code=2)["error"]
