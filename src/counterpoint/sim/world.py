"""A world whose clock does not wait: one robot, one task, one seed.

    world = World(load_robot("panda"), load_task("lift"), seed=7)
    while not world.done:
        world.step(command)          # one control period: physics, sensors
    world.streams()                  # all that was sensed, with capture and arrival times

Before control starts, the robot holds still for `WARM_UP_S`, so that every sensor has delivered a sample.
Equal seeds and commands give equal episodes; sensor noise does not depend on the commands.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoint.core.clock import NS_PER_SECOND, seconds_to_ns
from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.episode import Provenance
from counterpoint.core.errors import CounterpointError, PolicyError, unknown_name
from counterpoint.core.policy import ActionChunk, Observation
from counterpoint.core.stream import Stream, text_stream
from counterpoint.robots.robot import PHYSICS_STEP_S, Robot
from counterpoint.sim.bindings import Bindings
from counterpoint.sim.cameras import CameraConfig, Frame, parse_camera, render_frame
from counterpoint.sim.layout import draw_layout
from counterpoint.sim.log import TICK_NS, TICK_S, Log
from counterpoint.sim.scene import compile_scene
from counterpoint.sim.schedule import camera_timing
from counterpoint.sim.sensors import CameraSensor, Sensor, state_sensors, tracker_sensors
from counterpoint.sim.start import set_start_pose
from counterpoint.sim.task import Task, WorldState
from counterpoint.sim.truth import read_state

Float = NDArray[np.float64]
WARM_UP_S = 0.3
SPARE_S = 1.0
"""A world can be stepped this much longer than its task's time limit, seconds."""
STEPS_PER_TICK = round(TICK_S / PHYSICS_STEP_S)


class World:
    """A running episode; see the module's example."""

    def __init__(self, robot: Robot, task: Task, *, seed: int, cameras: Sequence[CameraConfig | str] = ()) -> None:
        """Draw the layout, build the model, let it settle.

        Raises:
            ConfigError: the task does not fit the robot, or a camera is described wrongly.
            UnknownNameError: a camera does not exist.
        """
        self.robot, self.task, self.seed = robot, task, seed
        self.layout = draw_layout(robot, task, seed)
        self.model = compile_scene(robot, task, self.layout)
        self.data = mujoco.MjData(self.model)
        self.bindings = Bindings(self.model, robot, self.layout)
        self.instruction = self.layout.instruction
        self.control_period_s = 1.0 / robot.embodiment.control_rate_hz
        self.start_ns = seconds_to_ns(WARM_UP_S)
        duration_s = WARM_UP_S + task.time_limit_s + SPARE_S
        self._log = Log(self.bindings, round(duration_s / TICK_S) + 2)
        self._sensors: list[Sensor] = state_sensors(robot, self.bindings, seed=seed, duration_s=duration_s)
        self._sensors += tracker_sensors(self.layout, seed=seed, duration_s=duration_s)
        self._cameras = [self._camera(camera, duration_s) for camera in cameras]
        self._sensors += self._cameras
        steps = int((task.time_limit_s + SPARE_S) / self.control_period_s)
        self._commands = np.zeros((steps, len(robot.embodiment.acting)), dtype=np.float32)
        self._command_ns = np.zeros(steps, dtype=np.int64)
        self._lower = np.array([channel.lower for channel in robot.embodiment.acting])
        self._upper = np.array([channel.upper for channel in robot.embodiment.acting])
        self.num_steps = 0
        self._push: tuple[Float, int] = np.zeros(self.model.nv), 0
        self._shift: tuple[Float, int] = np.zeros(self._commands.shape[1]), 0
        self._success_since_ns: int | None = None
        self._state: WorldState | None = None
        self._begin()

    @property
    def time_ns(self) -> int:
        """Now, on the clock of all streams; control starts at `start_ns`."""
        return (self._log.count - 1) * TICK_NS

    @property
    def time_s(self) -> float:
        """Seconds since control started."""
        return (self.time_ns - self.start_ns) / NS_PER_SECOND

    @property
    def success(self) -> bool:
        """Whether the task's condition has held for `hold_s` without a break, up to now."""
        since = self._success_since_ns
        return since is not None and self.time_ns - since >= seconds_to_ns(self.task.hold_s)

    @property
    def timed_out(self) -> bool:
        """Whether the time limit has passed."""
        return self.time_s >= self.task.time_limit_s - 1e-9

    @property
    def done(self) -> bool:
        """Whether the episode is over: achieved or out of time."""
        return self.success or self.timed_out

    @property
    def is_unstable(self) -> bool:
        """Whether the physics diverged; the episode's data are then invalid."""
        warnings = (
            mujoco.mjtWarning.mjWARN_BADQPOS,
            mujoco.mjtWarning.mjWARN_BADQVEL,
            mujoco.mjtWarning.mjWARN_BADQACC,
        )
        return any(self.data.warning[warning].number for warning in warnings)

    def step(self, command: ArrayLike) -> None:
        """Apply `command` [acting], in the units of the acting channels, for one control period.

        It is clipped to the channels' limits and recorded as the stream `action`.

        Raises:
            PolicyError: wrong shape, a value that is not finite, or the episode ended long ago.
            CounterpointError: the physics became unstable.
        """
        executed = self._checked(command)
        self._commands[self.num_steps] = executed
        self._command_ns[self.num_steps] = self.time_ns
        self.num_steps += 1
        end = round(self.num_steps * self.control_period_s / TICK_S) + round(WARM_UP_S / TICK_S)
        self._hold(executed, end)
        if self.is_unstable:
            raise CounterpointError(
                f"{self.origin}: physics became unstable at {self.time_s:.2f} s; discard the episode"
            )
        if not self.task.success(self.state()):
            self._success_since_ns = None
        elif self._success_since_ns is None:
            self._success_since_ns = self.time_ns

    def push(self, force: ArrayLike, duration_s: float) -> None:
        """Push from outside for a while: joint force [acting], Nm or N, on the joints that the channels drive."""
        joint_force = np.zeros(self.model.nv)
        joint_force[self.bindings.channel_dof] = np.asarray(force, dtype=np.float64)
        self._push = joint_force, self.time_ns + seconds_to_ns(duration_s)

    def shift(self, offset: ArrayLike, duration_s: float) -> None:
        """Make the servos miss for a while: add `offset` [acting] to their targets, but not to the record.

        A push as strong as the servos can hold against; see `Robot`.
        """
        self._shift = np.asarray(offset, dtype=np.float64), self.time_ns + seconds_to_ns(duration_s)

    def nudge(self, slot: int, velocity: ArrayLike) -> None:
        """Hit object `slot`: add `velocity` [3], m/s. Markers are left alone."""
        if self.layout.objects[slot].spec.movable:
            dof = self.bindings.object_dof[slot]
            self.data.qvel[dof : dof + 3] += np.asarray(velocity, dtype=np.float64)

    def state(self) -> WorldState:
        """Return the true state now; computed once a step."""
        if self._state is None:
            self._state = read_state(
                self.robot,
                self.layout,
                self.bindings,
                self.data,
                self._touches,
                time_s=self.time_s,
                clock_s=self.time_ns / NS_PER_SECOND,
            )
        return self._state

    def measured(self) -> NDArray[np.float32]:
        """Return the acting channels' true present values, float32 [acting]: the command that holds still."""
        return self.robot.from_qpos(self.data.qpos[self.bindings.channel_qpos])

    def streams(self) -> dict[str, Stream]:
        """Return everything captured so far, with `action` and `instruction`."""
        self._advance()
        streams = {sensor.spec.name: sensor.captured() for sensor in self._sensors}
        return streams | {"instruction": self._instruction(), "action": self._actions()}

    def observation(
        self, *, ready_ns: int | None = None, context_s: float = 2.0, committed: ActionChunk | None = None
    ) -> Observation:
        """Return what has arrived by now and was captured in the last `context_s`; the instruction always.

        Arrays are views into the world's buffers: cheap, and never written again.
        """
        return Observation.from_streams(
            self.robot.embodiment,
            self.streams(),
            now_ns=self.time_ns,
            history_s=context_s,
            ready_ns=ready_ns,
            committed=committed,
        )

    @property
    def origin(self) -> str:
        """Origin of an episode of this world: enough to reproduce it."""
        return f"counterpoint sim {self.robot.name} {self.task.name} seed {self.seed}"

    def provenance(self) -> Provenance:
        """Return the provenance of the episode as it stands."""
        return Provenance(
            robot=self.robot.name,
            task=self.task.name,
            instruction=self.instruction,
            site=self.layout.site.site_id,
            environment=self.layout.site.environment,
            source="simulation",
            licence="Apache-2.0",
            origin=self.origin,
            success=self.success,
        )

    def render(self, camera: str = "front", *, height: int = 240, width: int = 320) -> Frame:
        """Return what `camera` sees now, uint8 [height, width, 3]; for people, not a stream."""
        self._check_camera(camera)
        return render_frame(self.model, self.data, camera, height=height, width=width)

    def _begin(self) -> None:
        if self.layout.belt_speed_m_s:
            self.data.joint("belt").qvel[0] = self.layout.belt_speed_m_s
        set_start_pose(self.robot, self.model, self.data, self.layout.start_shift)
        self._end_tick()
        self._hold(self.measured(), round(WARM_UP_S / TICK_S))

    def _hold(self, command: NDArray[np.float32], end: int) -> None:
        """Hold `command` until tick `end`."""
        while self._log.count <= end:
            now = self.time_ns
            (force, force_until), (offset, offset_until) = self._push, self._shift
            self.data.qfrc_applied[:] = force if now < force_until else 0.0
            target = command + offset if now < offset_until else command
            self.data.ctrl[self.bindings.actuators] = self.robot.to_ctrl(target)
            mujoco.mj_step(self.model, self.data, STEPS_PER_TICK)
            self._end_tick()
        self._state = None

    def _end_tick(self) -> None:
        """Move markers, bring kinematics up to date, log the truth, take the frames that are due."""
        time_s = self._log.count * TICK_S
        for placed, mocap in zip(self.layout.objects, self.bindings.object_mocap, strict=True):
            if placed.motion is not None:
                self.data.mocap_pos[mocap] = placed.position + placed.motion.offset(time_s)
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        self._touches = self.bindings.touches(self.data)
        self._log.append(self.data, self._touches)
        for camera in self._cameras:
            if camera.is_due(self.time_ns):
                spec = camera.spec
                camera.keep(render_frame(self.model, self.data, camera.camera, height=spec.height, width=spec.width))

    def _checked(self, command: ArrayLike) -> NDArray[np.float32]:
        values = np.asarray(command, dtype=np.float32)
        names = self.robot.embodiment.acting_names
        if values.shape != (len(names),):
            raise PolicyError(f"{self.origin}: expected a command of shape ({len(names)},), got {values.shape}")
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            raise PolicyError(
                f"{self.origin}: command for channel {names[bad]!r} at {self.time_s:.2f} s is {values[bad]}; "
                "expected a finite number"
            )
        if self.num_steps >= len(self._commands):
            raise PolicyError(f"{self.origin}: the episode ended at {self.task.time_limit_s} s; create a new World")
        return np.clip(values, self._lower, self._upper).astype(np.float32)

    def _advance(self) -> None:
        for sensor in self._sensors:
            sensor.advance(self._log, self.time_ns)

    def _actions(self) -> Stream:
        times, values = self._command_ns[: self.num_steps], self._commands[: self.num_steps]
        return Stream(spec=self.robot.embodiment.action_spec, capture_ns=times, arrival_ns=times, values=values)

    def _instruction(self) -> Stream:
        spec = StreamSpec(name="instruction", kind="text")
        return text_stream(spec, np.zeros(1, dtype=np.int64), [self.instruction])

    def _check_camera(self, name: str) -> None:
        known = [self.model.camera(index).name for index in range(self.model.ncam)]
        if name not in known:
            raise unknown_name("camera", name, known, hint=f"(robot {self.robot.name})")

    def _camera(self, camera: CameraConfig | str, duration_s: float) -> CameraSensor:
        config = parse_camera(camera) if isinstance(camera, str) else camera
        self._check_camera(config.name)
        spec = StreamSpec(
            name=f"camera/{config.name}",
            kind="image",
            rate_hz=config.rate_hz,
            height=config.height,
            width=config.width,
        )
        return CameraSensor(spec, camera_timing(config.rate_hz), seed=self.seed, duration_s=duration_s)
