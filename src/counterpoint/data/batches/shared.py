"""Items from one process to another: small things pickled through a pipe, pictures through shared memory.

    arena   | slot 0 | slot 1 | ... |      one an item that may be ahead; memory is used for what was written alone

A pipe takes a picture in pieces of some kilobytes, with a copy on either side of each; shared memory takes it whole.
"""

from __future__ import annotations

import mmap
import os
import pickle
import tempfile
from dataclasses import dataclass

SLOT_BYTES = 1 << 28
"""Room of an item, address space alone; what does not fit goes through the pipe."""
SHARED_BYTES = 1 << 14
"""Arrays from this size on are shared."""


@dataclass(frozen=True, kw_only=True)
class _Message:
    """What the pipe carries."""

    pickled: bytes
    sizes: tuple[int, ...]
    """Of the arrays in the item's slot, end to end, bytes."""


class Arena:
    """Memory that two processes share."""

    def __init__(self, descriptor: int, slots: int) -> None:
        """Map a file of `new_arena`."""
        self._slots = slots
        self._map = mmap.mmap(descriptor, slots * SLOT_BYTES)

    def packed(self, number: int, answer: object) -> bytes:
        """Put the arrays of the item that is sent as number `number` into its slot; return what the pipe carries."""
        place = number % self._slots * SLOT_BYTES
        end = place + SLOT_BYTES
        sizes: list[int] = []

        def shared(buffer: pickle.PickleBuffer) -> bool:
            """Say whether the array is to be pickled after all."""
            nonlocal place
            with buffer.raw() as raw:
                if raw.nbytes < SHARED_BYTES or place + raw.nbytes > end:
                    return True
                self._map[place : place + raw.nbytes] = raw
                sizes.append(raw.nbytes)
                place += raw.nbytes
            return False

        pickled = pickle.dumps(answer, protocol=5, buffer_callback=shared)
        return pickle.dumps(_Message(pickled=pickled, sizes=tuple(sizes)), protocol=5)

    def unpacked(self, number: int, message: bytes) -> object:
        """Return the item that came as number `number`; its arrays are its own, the slot may be used again."""
        found = pickle.loads(message)
        assert isinstance(found, _Message)
        place = number % self._slots * SLOT_BYTES
        buffers = []
        with memoryview(self._map) as memory:
            for size in found.sizes:
                buffers.append(bytearray(memory[place : place + size]))
                place += size
        return pickle.loads(found.pickled, buffers=buffers)

    def close(self) -> None:
        """Unmap it; the memory goes when the other process does so too."""
        self._map.close()


def packed_alone(answer: object) -> bytes:
    """Return what the pipe carries of an item that shares no memory."""
    return pickle.dumps(_Message(pickled=pickle.dumps(answer), sizes=()), protocol=5)


def new_arena(slots: int) -> int:
    """Return the descriptor of a file that lives in memory and has no name; close it once both sides have mapped it."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("counterpoint-items")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, slots * SLOT_BYTES)
    return descriptor
