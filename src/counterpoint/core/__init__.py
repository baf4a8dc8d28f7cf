"""The contracts that all other packages share; needs NumPy alone.

    clock      int64 nanoseconds          stream     samples on their own clock
    embodiment robots and channels        episode    streams and their provenance
    descriptor a channel as numbers       batch      what the data package packs and the model reads
    policy     observation in, actions out            config, records, seeding, errors

`store` and `ingest` read files, `model` and `train` learn, `sim` does physics.
"""

from counterpoint.core.exports import lazy_exports

TYPE_CHECKING = False  # type checkers take it for `typing.TYPE_CHECKING`, and `typing` is slow to import
if TYPE_CHECKING:
    from counterpoint.core.clock import absolute_ns, periodic_ns, relative_seconds, seconds_to_ns
    from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
    from counterpoint.core.episode import Episode, Provenance
    from counterpoint.core.errors import CounterpointError
    from counterpoint.core.observation_buffer import ObservationBuffer
    from counterpoint.core.policy import ActionChunk, Observation, Policy
    from counterpoint.core.stream import Stream, text_stream, vector_stream
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "counterpoint.core.clock": (
                "absolute_ns",
                "periodic_ns",
                "relative_seconds",
                "seconds_to_ns",
            ),
            "counterpoint.core.embodiment": (
                "Channel",
                "Embodiment",
                "StreamSpec",
            ),
            "counterpoint.core.episode": (
                "Episode",
                "Provenance",
            ),
            "counterpoint.core.errors": ("CounterpointError",),
            "counterpoint.core.observation_buffer": ("ObservationBuffer",),
            "counterpoint.core.policy": (
                "ActionChunk",
                "Observation",
                "Policy",
            ),
            "counterpoint.core.stream": (
                "Stream",
                "text_stream",
                "vector_stream",
            ),
        },
    )

__all__ = [
    "ActionChunk",
    "Channel",
    "CounterpointError",
    "Embodiment",
    "Episode",
    "Observation",
    "ObservationBuffer",
    "Policy",
    "Provenance",
    "Stream",
    "StreamSpec",
    "absolute_ns",
    "periodic_ns",
    "relative_seconds",
    "seconds_to_ns",
    "text_stream",
    "vector_stream",
]
