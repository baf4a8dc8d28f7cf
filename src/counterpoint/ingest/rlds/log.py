"""An RLDS dataset as a log: each item is a record, which holds one episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from counterpoint.core.clock import periodic_ns
from counterpoint.core.errors import IngestError
from counterpoint.core.stream import TimeSource
from counterpoint.ingest.files.paths import inside
from counterpoint.ingest.recording.features import LogRobot, map_features, slug
from counterpoint.ingest.recording.pictures import camera_names, picture_video
from counterpoint.ingest.recording.recorded_log import RecordedLog, choose_rate
from counterpoint.ingest.recording.recording import Recording, Series, merged_texts, num_rows
from counterpoint.ingest.recording.source import ReadOptions
from counterpoint.ingest.rlds.example import Values, parse_example
from counterpoint.ingest.rlds.roles import Steps, usual_rate
from counterpoint.ingest.rlds.structure import load_dataset_info, load_leaves
from counterpoint.ingest.rlds.tfrecord import Record, list_records, read_record


class RldsLog(RecordedLog):
    """One version of a dataset, all splits, or one file of it; see `recording.source.LogSource`."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Read the metadata and find the records; raises IngestError."""
        folder = path if path.is_dir() else path.parent
        info = load_dataset_info(folder)
        if info.file_format.lower() not in ("tfrecord", "file_format.tfrecord"):
            raise IngestError(
                f"{path}: records in format {info.file_format!r}, expected tfrecord", reason="wrong_version"
            )
        self._steps = Steps.of(load_leaves(folder), str(path))
        self._folder = folder
        self._records: dict[str, tuple[Path, Record | IngestError]] = {}
        files = [path] if not path.is_dir() else [file for file in sorted(path.iterdir()) if ".tfrecord" in file.name]
        for file in files:
            self._list(file)
        stated = self._clock_rate(str(path))
        self._has_clock = stated is not None
        rate, notes = choose_rate(stated, options.robot, usual_rate(info.name))
        log = LogRobot(
            name=slug(info.name) or slug(folder.resolve().name) or "robot",
            rate_hz=rate,
            description="Made from the features of an RLDS dataset, without units; all channels are unknown.",
            source=f"RLDS {info.name or path.name}",
        )
        mapping, mapped = map_features(self._steps.features, log, options, str(path))
        expected = sum((info.num_examples or {}).values())
        if path.is_dir() and info.num_examples is not None and expected != len(self._records):
            mapped.append("total_episodes_mismatch")
        left_out = [f"left_out:{name}" for name in self._steps.left_out]
        super().__init__(path, options, mapping, [*notes, *mapped, *left_out], rate)

    def items(self) -> Sequence[str]:
        """Return `FILE#NUMBER` for every record."""
        return list(self._records)

    def load(self, item: str) -> Recording:
        """Read one record; raises IngestError."""
        file, record = self._records[item]
        where = f"{self.path}, {item}"
        if isinstance(record, IngestError):
            raise IngestError(str(record), reason=record.reason)
        try:
            example = parse_example(read_record(inside(self._folder, file.name), record))
        except ValueError as error:
            if isinstance(error, IngestError):
                raise
            raise IngestError(f"{where}: not a tf.train.Example ({error})", reason="damaged_record") from error
        return self._recording(example, where)

    def _clock_rate(self, where: str) -> float | None:
        """Return the rate of the dataset's clock, from its first record; None without a usable clock."""
        file, record = next(iter(self._records.values()), (None, None))
        if file is None or not isinstance(record, Record):
            return None
        try:
            return self._steps.clock_rate(parse_example(read_record(inside(self._folder, file.name), record)), where)
        except ValueError:
            return None  # the error is reported when the item is read

    def _list(self, file: Path) -> None:
        try:
            records: Sequence[Record | IngestError] = list_records(inside(self._folder, file.name))
        except IngestError as error:
            records = [error]
        for number, record in enumerate(records):
            self._records[f"{file.name}#{number:06d}"] = file, record

    def _recording(self, example: Mapping[str, Values], where: str) -> Recording:
        wanted = [each.feature for each in self.mapping.features]
        values = {name: self._steps.numbers(example, name, where) for name in wanted}
        count = num_rows(values, where)
        source: TimeSource = "measured" if self._has_clock else "nominal"
        capture = self._steps.times(example, count, where) if self._has_clock else periodic_ns(0, self.rate_hz, count)
        videos, notes = {}, []
        for feature, name in camera_names(self._steps.images).items():
            if not self._steps.has_camera(example, feature):
                notes.append(f"missing_video:{feature}")
                continue
            pictures = example.get(feature)
            if not isinstance(pictures, list):
                raise IngestError(f"{where}: pictures {feature!r} are missing", reason="missing_column")
            videos[name] = picture_video(name, pictures, capture, self.rate_hz, f"{where}: {feature}")
        texts = self._steps.instructions(example, len(capture), where)
        return Recording(
            series={name: Series(values=each, capture_ns=capture, time_source=source) for name, each in values.items()},
            videos=videos,
            texts=merged_texts(capture.tolist(), texts) if any(texts) else (),
            success=self._steps.success(example),
            notes=tuple(notes),
        )
