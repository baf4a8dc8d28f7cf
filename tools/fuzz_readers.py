"""Fuzz the readers of logs: sound logs with a few changed bytes, for a given CPU time a reader.

    python tools/fuzz_readers.py --seconds 600 [--reader mcap] [--out findings] [--seed 1]

Logs are those of tests/rigs/logs/corpus.py. Bytes are flipped, cut, inserted, doubled, zeroed, and overwritten with the
numbers that lengths go wrong on; in JSON and CSV also numbers and words. A reader may refuse a log with a reason code
or read it; any other error, a crash, more than --memory bytes or more than --patience seconds is a finding: the log
and the traceback are kept in --out, once for each place in the code. Exit code 1 where there are findings.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "src"), str(REPOSITORY / "tests" / "rigs" / "logs")]

from corpus import SEEDS, Seed  # noqa: E402  # after the path to it
from mcap.writer import CompressionType  # noqa: E402
from mcap_writers import write_mcap  # noqa: E402
from rlds_writers import frame  # noqa: E402

from counterpoint.core.errors import CounterpointError, IngestError  # noqa: E402
from counterpoint.ingest import ReadOptions, open_source  # noqa: E402
from counterpoint.ingest.formats import FORMATS  # noqa: E402

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)
WORDS = (b"-1", b"0", b"1e308", b"NaN", b"Infinity", b"99999999999999999999", b"null", b"[]", b'"x"', b"true", b"")
MEMORY = Path("/dev/shm")
"""Where logs are rewritten thousands of times a minute, where there is such a place."""
TEXTS = (".json", ".jsonl", ".csv", ".yaml")


BARE: dict[str, Any] = {"enable_crcs": False, "compression": CompressionType.NONE}
LOGS = SEEDS | {  # without checksums, so that changes reach what lies behind them
    "bare.mcap": Seed("mcap", lambda path: write_mcap(path, 8, **BARE)),
    "unchunked.mcap": Seed("mcap", lambda path: write_mcap(path, 8, use_chunking=False, **BARE)),
}


class Slow(Exception):
    """A log took longer than it may."""


@dataclass(frozen=True)
class Limits:
    """What a fuzzed reader may use."""

    cpu_s: float
    patience_s: int
    memory_bytes: int


@dataclass(frozen=True)
class Finding:
    """A log that no reader foresaw."""

    reader: str
    kind: str
    place: str
    trace: str
    log: Path

    @property
    def key(self) -> str:
        """One for each place in the code."""
        return hashlib.sha256(f"{self.reader} {self.kind} {self.place}".encode()).hexdigest()[:10]


def mutate(data: bytes, rng: random.Random, is_text: bool) -> bytes:
    """Return `data` with one to four small changes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not changed:
            break
        at = rng.randrange(len(changed))
        match rng.randrange(9 if is_text else 7):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.randrange(256)
            case 2:
                size = rng.choice((1, 2, 4, 8))
                order = rng.choice(("little", "big"))
                number = rng.choice((*NUMBERS, len(data), len(data) - at)) % 256**size
                changed[at : at + size] = number.to_bytes(size, "little" if order == "little" else "big")
            case 3:
                del changed[at : at + rng.choice((1, 2, 4, 8, len(changed)))]
            case 4:
                changed[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, 64)))
            case 5:
                size = rng.choice((4, 16, 64, 256))
                other = rng.randrange(len(changed))
                changed[at : at + size] = changed[other : other + size]
            case 6:
                size = rng.choice((4, 16, 64))
                changed[at : at + size] = bytes(min(size, len(changed) - at))
            case _:
                tokens = list(re.finditer(rb"-?\d+(?:\.\d+)?|\"[^\"]*\"", bytes(changed)))
                if tokens:
                    token = rng.choice(tokens)
                    changed[token.start() : token.end()] = rng.choice(WORDS)
    return bytes(changed)


def changed(path: Path, data: bytes, rng: random.Random) -> bytes:
    """Return the mutated bytes of a file; half of those of a TFRecord file get their checksums right again."""
    if ".tfrecord" in path.name and rng.random() < 0.5:
        records, at = [], 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            records.append(data[at + 12 : at + 12 + length])
            at += 16 + length
        chosen = rng.randrange(len(records))
        records[chosen] = mutate(records[chosen], rng, False)
        return b"".join(map(frame, records))
    return mutate(data, rng, path.suffix in TEXTS)


def read_whole(path: Path, reader: str) -> str:
    """Read every item; return `read` or the reason code; raises whatever the reader did not foresee."""
    outcome = "read"
    source = open_source(path, ReadOptions(), reader)
    for item in source.items()[:20]:
        try:
            source.content_hash(item)
            source.read(item)
        except IngestError as error:
            outcome = error.reason
        except CounterpointError:
            outcome = "bad_value"
    return outcome


def one(path: Path, reader: str, patience_s: int) -> tuple[str, Finding | None]:
    """Read a log under a time limit; return what became of it, and a finding if it is one."""
    signal.setitimer(signal.ITIMER_REAL, patience_s)
    try:
        return read_whole(path, reader), None
    except IngestError as error:
        return error.reason, None
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "counterpoint" in f.filename]
        last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.name}"
        return "finding", Finding(reader, type(error).__name__, place, traceback.format_exc(), path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def fuzz(reader: str, limits: Limits, seed: int, work: Path, out: Path, pipe: Connection) -> None:
    """Mutate and read until the CPU time is used up; tell the other end of the pipe about each log."""
    warnings.simplefilter("error")
    limit = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limit))
    signal.signal(signal.SIGALRM, _too_slow)
    rng = random.Random(seed)
    names = [name for name, each in LOGS.items() if each.format == reader]
    sound: dict[str, dict[Path, bytes]] = {}
    for name in names:
        LOGS[name].write(work / name)
        files = [work / name] if (work / name).is_file() else [p for p in (work / name).rglob("*") if p.is_file()]
        sound[name] = {path: path.read_bytes() for path in files}
    seen: set[str] = set()
    while cpu_seconds() < limits.cpu_s:
        name = rng.choice(names)
        path = rng.choice(list(sound[name]))
        path.write_bytes(changed(path, sound[name][path], rng))
        pipe.send(("begin", name))
        outcome, finding = one(work / name, reader, limits.patience_s)
        if finding is not None and finding.key not in seen:
            seen.add(finding.key)
            keep(finding, out)
        pipe.send(("end", outcome if finding is None else f"finding {finding.kind} at {finding.place}"))
        path.write_bytes(sound[name][path])
    pipe.send(("done", ""))


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise Slow("took too long")


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that ended."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def keep(finding: Finding, out: Path) -> None:
    """Keep the log and the traceback of a finding."""
    folder = out / f"{finding.reader}-{finding.kind}-{finding.key}"
    if not folder.exists():
        folder.mkdir(parents=True)
        copy: Callable[[Path, Path], object] = shutil.copytree if finding.log.is_dir() else shutil.copyfile
        copy(finding.log, folder / finding.log.name)
        (folder / "trace.txt").write_text(f"{finding.place}\n{finding.trace}")


def run(reader: str, limits: Limits, seed: int, out: Path) -> tuple[Counter[str], float]:
    """Fuzz one reader in processes of its own; return how often each outcome came, and the CPU seconds used."""
    outcomes: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    used, attempt = 0.0, 0
    while used < limits.cpu_s:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as work:
            ours, theirs = context.Pipe(duplex=False)
            left = Limits(limits.cpu_s - used, limits.patience_s, limits.memory_bytes)
            before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
            process = context.Process(target=fuzz, args=(reader, left, seed + attempt, Path(work), out, theirs))
            process.start()
            theirs.close()
            died = _listen(ours, limits.patience_s, process, outcomes)
            if died:
                log = Path(work) / died
                how = f"exit code {process.exitcode}"
                outcomes[f"finding Died at {how}"] += 1
                keep(Finding(reader, "Died", how, f"the process ended: {how}\n", log), out)
            process.join()
            used += max(1.0, sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before)
            attempt += 1
    return outcomes, used


def _listen(
    pipe: Connection, patience_s: int, process: multiprocessing.process.BaseProcess, outcomes: Counter[str]
) -> str:
    """Count outcomes until the process is done; return the log at which it died or hung, empty for none."""
    current = ""
    while True:
        try:
            if not pipe.poll(3 * patience_s + 30):  # native code that no signal ends
                os.kill(process.pid or 0, signal.SIGKILL)
                process.join()
                return current
            kind, text = pipe.recv()
        except (EOFError, OSError):
            process.join()
            return current
        if kind == "done":
            return ""
        current = text if kind == "begin" else current
        if kind == "end":
            outcomes[text] += 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz the readers asked for and print executions and findings of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="CPU seconds a reader")
    parser.add_argument("--reader", action="append", choices=list(FORMATS), help="only this one; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="where findings are kept")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=int, default=20, help="seconds a log")
    parser.add_argument("--memory", type=int, default=4 * 2**30, help="bytes of address space a reader")
    options = parser.parse_args(arguments)
    limits = Limits(options.seconds, options.patience, options.memory)
    found = 0
    for reader in options.reader or list(FORMATS):
        outcomes, used = run(reader, limits, options.seed, options.out)
        findings = {text: count for text, count in outcomes.items() if text.startswith("finding ")}
        found += len(findings)
        print(f"{reader}: {sum(outcomes.values())} logs in {used:.0f} CPU seconds, {len(findings)} findings")
        print(f"  {json.dumps(dict(outcomes.most_common()))}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
