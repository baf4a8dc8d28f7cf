"""Reading a store: which episodes there are, and their samples, whole or a stretch of time."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.episode import Episode
from counterpoint.core.errors import StoreError, unknown_name
from counterpoint.core.stream import Stream
from counterpoint.engine import Engine
from counterpoint.store.episodes.video import decode_frames
from counterpoint.store.files.blocks import DAMAGED, Columns, columns_to_stream, decode_streams
from counterpoint.store.files.descriptions import Descriptions
from counterpoint.store.files.layout import STREAMS, check_store, episode_folder, next_step
from counterpoint.store.files.manifest import EpisodeInfo, StreamInfo
from counterpoint.store.index.episode_index import EpisodeIndex
from counterpoint.store.index.episode_list import EpisodeList
from counterpoint.store.index.refresh import Problem, load_index
from counterpoint.store.index.rows import FLAT, FLAT_SOURCE, SCHEMA, nested_table
from counterpoint.store.lazy_frames import LazyFrames
from counterpoint.store.sequence import EpisodeSequence
from counterpoint.store.verify import verify_store
from counterpoint.store.views.low import LowView
from counterpoint.store.views.pictures import CameraPictures, pictures_of_frames, pictures_of_view
from counterpoint.store.views.video_view import ViewFrames

logger = logging.getLogger(__name__)

CACHED_EPISODES = 16_384
OFFERED_NAMES = 2_000
PARALLEL_EPISODES = 64
"""A smaller store is checked before other processes have started."""


class Store(EpisodeSequence):
    """The committed episodes of a store, as they were when it was opened; a sequence of `Episode`."""

    def __init__(self, root: Path, index: EpisodeIndex, damaged: list[Problem]) -> None:
        """Use `Store.open`."""
        self.root = root
        self.damaged = damaged
        """Episodes whose manifest cannot be read; they are not among `episodes`."""
        self._index = index
        self._view = LowView(root)
        self._low: OrderedDict[str, dict[str, Stream]] = OrderedDict()
        self._descriptions = Descriptions(root)
        self._video_views: dict[str, ViewFrames] = {}

    def __reduce__(self) -> tuple[type[Store], tuple[Path, EpisodeIndex, list[Problem]]]:
        """Pickle names of files, not what is mapped: another process maps the same files itself."""
        return Store, (self.root, self._index, self.damaged)

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open the store at `path`.

        Raises:
            StoreError: not a store, or of another version.
        """
        root = Path(path)
        check_store(root)
        return cls(root, *load_index(root))

    @property
    def place(self) -> str:
        """The folder, for people."""
        return str(self.root)

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self._index)

    def flat(self) -> pa.Table:
        """Return the plain facts of all episodes as Arrow, one row each, in the order of `episodes`.

        Columns: episode_id, robot, task, instruction, site, environment, source, operator, licence, origin,
        content_hash, content_sha256, success, start_ns, end_ns, duration_s (float64, s), num_bytes.
        Mapped, without a copy, unless many small commits await a merge.
        """
        return self._index.table(list(FLAT_SOURCE)).rename_columns(list(FLAT))

    @property
    def table(self) -> pa.Table:
        """The index as Arrow: one row an episode as in its manifest; columns in `docs/format.md`."""
        return nested_table(self._index.table(list(SCHEMA.names)))

    @property
    def episodes(self) -> EpisodeList:
        """All episodes, in order of id: it does not depend on who wrote them when. Read when asked for."""
        return EpisodeList(self._index, range(len(self)))

    def at(self, places: NDArray[np.int64]) -> list[EpisodeInfo]:
        """Return the episodes at these places in the order of `episodes`, int64 [n]."""
        return self._index.infos(places)

    def places(self, episode_ids: Iterable[str]) -> NDArray[np.int64]:
        """Return the places of episodes in the order of `episodes`, int64 [n]; raises UnknownNameError."""
        return np.asarray([self._place(episode_id) for episode_id in episode_ids], np.int64)

    def info(self, episode_id: str) -> EpisodeInfo:
        """Return what is known of an episode without its samples.

        Raises:
            StoreError: the episode is there but its manifest is damaged.
            UnknownNameError: there is no such episode.
        """
        return self._index.infos(np.asarray([self._place(episode_id)], np.int64))[0]

    def _place(self, episode_id: str) -> int:
        place = self._index.find(episode_id)
        if place is None:
            folder = episode_folder(self.root, episode_id).name
            for problem in self.damaged:
                if problem.episode_id == folder:
                    raise StoreError(problem.message)
            raise unknown_name(
                "episode", episode_id, self._near(episode_id), hint=f"See 'counterpoint catalog {self.root} list'."
            )
        return place

    def _near(self, episode_id: str) -> list[str]:
        """Return ids among which the one that was meant may be: all of a small store, neighbours in a large one."""
        middle = self._index.lower_bound(episode_id)
        places = np.arange(max(0, middle - OFFERED_NAMES), min(len(self), middle + OFFERED_NAMES))
        found: list[str] = self._index.column("episode_id", places).to_pylist()
        return found

    @cached_property
    def embodiment_versions(self) -> dict[str, tuple[str, ...]]:
        """The SHA-256 of every description of each robot, by the robot's name; mostly one."""
        pairs = self._index.table(["embodiment", "embodiment_sha256"]).group_by(["embodiment", "embodiment_sha256"])
        found: dict[str, tuple[str, ...]] = {}
        for row in (
            pairs.aggregate([]).sort_by([("embodiment", "ascending"), ("embodiment_sha256", "ascending")]).to_pylist()
        ):
            found[row["embodiment"]] = (*found.get(row["embodiment"], ()), row["embodiment_sha256"])
        return found

    @cached_property
    def embodiments(self) -> dict[str, Embodiment]:
        """The robots of all episodes, by name; `name@<12 digits of the SHA-256>` where a name has several."""
        return {
            name if len(digests) == 1 else f"{name}@{digest[:12]}": self._descriptions.embodiment(digest)
            for name, digests in self.embodiment_versions.items()
            for digest in digests
        }

    def embodiment(self, name: str) -> Embodiment:
        """Return the robot of that name, or of `name@<first digits of its description's SHA-256>`.

        Episodes are read with their own description in any case.

        Raises:
            StoreError: several descriptions bear the name.
            UnknownNameError: none does; offers the nearest.
        """
        plain, _, wanted = name.rpartition("@") if name not in self.embodiment_versions else (name, "", "")
        digests = [each for each in self.embodiment_versions.get(plain, ()) if each.startswith(wanted)]
        if not digests:
            raise unknown_name("robot", name, self.embodiments, hint=f"(robots of {self.root})")
        if len(digests) > 1:
            choices = ", ".join(f"{plain}@{digest[:12]}" for digest in digests)
            raise StoreError(
                f"{self.root}: robot {name!r} has {len(digests)} descriptions; name one of them: {choices}. "
                "To use both in one run, collect or ingest one of them under another robot name"
            )
        return self._descriptions.embodiment(digests[0])

    def episode(self, episode_id: str) -> Episode:
        """Return an episode whose pictures are decoded when somebody looks at them; see `LazyFrames`.

        Raises:
            StoreError: the episode is damaged.
            UnknownNameError: no such episode.
        """
        info = self.info(episode_id)
        vectors = self.low(episode_id)
        streams = {
            each.name: self._lazy_images(info, each) if each.kind == "image" else vectors[each.name]
            for each in info.streams
        }
        return Episode(
            episode_id=episode_id,
            embodiment=self._descriptions.embodiment(info.embodiment_sha256),
            provenance=info.provenance,
            streams=streams,
        )

    def _lazy_images(self, info: EpisodeInfo, stream: StreamInfo) -> Stream:
        spec, columns = self._descriptions.spec(stream.spec_sha256), self._image_columns(info.episode_id, stream.name)
        shape = (len(columns.pts), spec.height, spec.width, 3)
        frames = LazyFrames(shape, lambda samples: self._pixels(info, stream, columns.pts[samples]))
        return Stream(
            spec=spec,
            capture_ns=columns.capture_ns,
            arrival_ns=columns.arrival_ns,
            values=cast("NDArray[np.uint8]", frames),  # indexes and converts like one
            time_source=stream.time_source,
        )

    def read(
        self,
        episode_id: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
        streams: Collection[str] | None = None,
    ) -> Episode:
        """Return an episode, or the samples captured in [start_ns, end_ns) of the named streams.

        Images are decoded; name the streams to leave them out.

        Raises:
            StoreError: a file is damaged; names file, episode and stream.
            UnknownNameError: no such episode or stream.
        """
        info = self.info(episode_id)
        known = [stream.name for stream in info.streams]
        for name in streams if streams is not None else ():
            if name not in known:
                raise unknown_name("stream", name, known, hint=f"(episode {episode_id})")
        columns = self._view.columns(info) or self.read_master(info)
        chosen = [stream for stream in info.streams if streams is None or stream.name in streams]
        found = {
            stream.name: self._stream(info, stream, columns[stream.name].between(start_ns, end_ns)) for stream in chosen
        }
        return Episode(
            episode_id=episode_id,
            embodiment=self._descriptions.embodiment(info.embodiment_sha256),
            provenance=info.provenance,
            streams=found,
        )

    def low(self, episode_id: str) -> dict[str, Stream]:
        """Return all vector and text streams of an episode; read-only arrays.

        They point into the memory-mapped view where `counterpoint prepare` (or `build_low_view`) has built it, else
        they are read from the episode's master each time, which is many times slower. Nothing is written.

        Raises:
            StoreError: the episode is damaged.
            UnknownNameError: no such episode.
        """
        if episode_id in self._low:
            self._low.move_to_end(episode_id)
            return self._low[episode_id]
        info = self.info(episode_id)
        columns = self._view.columns(info)
        found = columns or self.read_master(info)
        kept = {s.name: self._stream(info, s, found[s.name]) for s in info.streams if s.kind != "image"}
        if columns is None:
            return kept  # copies, not views of a mapped file: many of them would fill the memory
        self._low[episode_id] = kept
        if len(self._low) > CACHED_EPISODES:
            self._low.popitem(last=False)
        return kept

    def frame_times(self, episode_id: str, stream: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return capture and arrival times of an image stream, int64 [samples] each, without decoding."""
        columns = self._image_columns(episode_id, stream)
        return columns.capture_ns, columns.arrival_ns

    def frame_pts(self, episode_id: str, stream: str) -> NDArray[np.int64]:
        """Return the presentation time of each sample's frame in the master's video, int64 [samples]."""
        return self._image_columns(episode_id, stream).pts

    def frames(self, episode_id: str, stream: str, samples: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decode the chosen samples (indices, increasing) of an image stream, uint8 [n, height, width, 3]."""
        columns = self._image_columns(episode_id, stream)
        info = self.info(episode_id)
        found = info.stream(stream)
        assert found is not None  # _image_columns raised otherwise
        return self._pixels(info, found, columns.pts[samples])

    def cameras(self, episode_id: str) -> tuple[str, ...]:
        """Return the names of the cameras of which an episode has pictures, sorted; raises UnknownNameError."""
        info = self.info(episode_id)
        return tuple(sorted(each.name for each in info.streams if each.kind == "image" and each.samples))

    def pictures(self, episode_id: str, stream: str, view: str = "5hz") -> CameraPictures | None:
        """Return the pictures of a camera, decoded on demand; None where the episode has no such camera.

        Args:
            episode_id: the episode.
            stream: the camera's stream.
            view: preset of the video view to decode from; empty for the masters, slowly.

        Raises:
            StoreError: the camera is not in that view. UnknownNameError: no such episode.
        """
        info = self.info(episode_id)
        found = info.stream(stream)
        if found is None or found.kind != "image" or not found.samples:
            return None
        if not view:
            columns = self._image_columns(episode_id, stream)
            return pictures_of_frames(
                columns.capture_ns, columns.arrival_ns, partial(self._pictures, info, found, columns.pts)
            )
        views = self.video_view(view)
        if not views.has(info.content_sha256, stream):
            raise StoreError(
                f"episode {episode_id!r}, stream {stream!r}: not in the video view {view!r}; build it with "
                f"'counterpoint prepare {self.root}', or decode the masters with view=''"
            )
        return pictures_of_view(views.stream(info.content_sha256, stream))

    def video_view(self, preset: str = "5hz") -> ViewFrames:
        """Return the video training view in that preset, as far as it is built: small pictures, quickly decoded."""
        if preset not in self._video_views:
            self._video_views[preset] = ViewFrames(self.root, preset)
        return self._video_views[preset]

    @property
    def block_rows(self) -> tuple[int, ...]:
        """Rows at which windows should be cut into blocks to be read one after another; none on a disk."""
        return ()

    def verify(self, engine: Engine | None = None, progress: bool = False) -> list[Problem]:
        """Check every checksum and every count; return what is wrong, nothing if all is well.

        Args:
            engine: who runs the work, from PARALLEL_EPISODES on; None for this process alone.
            progress: show a bar on stderr.
        """
        return verify_store(self.root, engine if len(self) >= PARALLEL_EPISODES else None, progress)

    def _image_columns(self, episode_id: str, stream: str) -> Columns:
        info = self.info(episode_id)
        images = [each.name for each in info.streams if each.kind == "image"]
        if stream not in images:
            raise unknown_name("image stream", stream, images, hint=f"(episode {episode_id})")
        return (self._view.columns(info) or self.read_master(info))[stream]

    def read_master(self, info: EpisodeInfo) -> dict[str, Columns]:
        """Read all samples but the pixels from the episode's own folder; raises StoreError where it is damaged."""
        path = episode_folder(self.root, info.episode_id) / STREAMS
        try:
            columns = decode_streams(path.read_bytes())
        except DAMAGED as error:
            raise StoreError(
                f"{path}: episode {info.episode_id!r}: damaged or missing ({error}); {next_step(self.root)}"
            ) from error
        for stream in info.streams:
            if stream.name not in columns or len(columns[stream.name].capture_ns) != stream.samples:
                raise StoreError(
                    f"{path}: episode {info.episode_id!r}, stream {stream.name!r}: expected {stream.samples} samples, "
                    f"got {len(columns[stream.name].capture_ns) if stream.name in columns else 'none'}; "
                    f"{next_step(self.root)}"
                )
        return columns

    def _stream(self, info: EpisodeInfo, stream: StreamInfo, columns: Columns) -> Stream:
        spec = self._descriptions.spec(stream.spec_sha256)
        try:
            if spec.kind != "image":
                return columns_to_stream(columns, spec, stream.time_source)
            return Stream(
                spec=spec,
                capture_ns=columns.capture_ns,
                arrival_ns=columns.arrival_ns,
                values=self._pixels(info, stream, columns.pts),
                time_source=stream.time_source,
            )
        except StoreError:
            raise
        except ValueError as error:
            raise StoreError(
                f"{episode_folder(self.root, info.episode_id) / STREAMS}: episode {info.episode_id!r}, stream "
                f"{stream.name!r}: {error}; {next_step(self.root)}"
            ) from error

    def _pixels(self, info: EpisodeInfo, stream: StreamInfo, pts: NDArray[np.int64]) -> NDArray[np.uint8]:
        spec = self._descriptions.spec(stream.spec_sha256)
        if not len(pts):
            return np.empty((0, spec.height, spec.width, 3), np.uint8)
        try:
            folder = episode_folder(self.root, info.episode_id)
            return decode_frames(folder / stream.video, pts, spec.height, spec.width)
        except StoreError as error:
            raise StoreError(
                f"episode {info.episode_id!r}, stream {stream.name!r}: {error}; {next_step(self.root)}"
            ) from error

    def _pictures(
        self, info: EpisodeInfo, stream: StreamInfo, pts: NDArray[np.int64], samples: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        return self._pixels(info, stream, pts[samples])
