"""The loop of a live run: receive, style, show, and keep pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from av import AudioFrame

from segnst.config import Settings
from segnst.errors import Cancelled, InputError, OutputError, SegnstError
from segnst.files import reason
from segnst.jobs.events import Context
from segnst.live.keys import terminal_keys
from segnst.live.pacing import Effort, Governor
from segnst.live.receive import Arrived, Receiver
from segnst.live.settings import LiveSettings
from segnst.live.sinks.base import Runner, Sink, Spec
from segnst.live.sinks.find import find_sinks
from segnst.live.sources import find_source
from segnst.live.status import EVERY, Live, LiveReport, Meter
from segnst.live.stylist import PlanWatch, Stylist
from segnst.video import stdout
from segnst.video.paths import is_stdout

_WAIT = 0.05  # seconds between two looks at keys, the plan file and the clock
_STARVING = 1.0  # a picture that is too late is shown anyway if none was shown for so many seconds
_WATCH = 0.25  # seconds between two looks at the plan file


@dataclass
class _Run:
    """A live run between its first picture and its end."""

    receiver: Receiver
    stylist: Stylist
    sinks: list[Sink]
    options: LiveSettings
    context: Context
    keys: Callable[[], str]
    watch: PlanWatch | None
    reread: Callable[[], Settings] | None
    runners: list[Runner] = field(default_factory=list)
    meter: Meter = field(default_factory=Meter)
    spec: Spec | None = None
    began: float | None = None
    shown: float = 0.0  # when a picture was shown last
    late: int = 0  # pictures that were too late to be styled
    told: float = 0.0
    watched: float = 0.0
    exhausted: bool = False

    def __post_init__(self) -> None:
        self.governor = Governor(self.options.latency)

    def until_the_end(self) -> str:
        """Show pictures until something ends the run; returns what, in words."""
        while True:
            self.context.check()
            self.receiver.check()
            arrived = self.receiver.take(_WAIT)
            while self.receiver.words:
                self.context.warn(self.receiver.words.popleft())
            if arrived is not None:
                self._show(arrived)
            ended = self._keys() or self._failures() or self._time()
            if ended:
                return ended
            if arrived is None and self.receiver.over:
                self.receiver.check()
                return self.receiver.ended or "stopped"
            self._plan()
            self._tell()

    def _show(self, arrived: Arrived) -> None:
        if self.spec is None:
            self._begin(arrived)
        assert self.spec is not None
        facts = self.receiver.facts
        if time.monotonic() - arrived.due > self.options.latency and time.monotonic() - self.shown < _STARVING:
            self.late += 1
            return
        pixels = self.stylist(arrived.frame, arrived.time, self.spec.size, facts.aspect if facts else None)
        for runner in self.runners:
            runner.picture(pixels, arrived.time)
        now = time.monotonic()
        self.shown, latency = now, now - arrived.due
        self.meter.add(now, latency)
        if not self.stylist.idle:
            self._spend(self.governor.observe(latency, now))

    def _begin(self, arrived: Arrived) -> None:
        facts = self.receiver.facts
        assert facts is not None
        rate = min(facts.rate, type(facts.rate)(self.options.rate)) if self.options.rate else facts.rate
        self.spec = Spec(self.stylist.size_of(arrived.frame, facts.aspect), rate, facts.sound, self.stylist.settings)
        self.began = time.monotonic()
        for sink in self.sinks:
            self.runners.append(Runner(sink, self.spec))
        self.context.stage("frames")

    def _spend(self, effort: Effort | None) -> None:
        if effort is not None:
            self.stylist.spend(effort)
            self.context.warn(f"To keep pace: {effort} (after {self._seconds:.1f} s).")
        elif (
            self.governor.exhausted
            and not self.exhausted
            and self.meter.recent(time.monotonic())[1] > self.options.latency
        ):
            self.exhausted = True
            self.context.warn(
                f"This machine cannot keep a latency of {self.options.latency:g} s with this plan; try --fast, "
                "--max-size, fewer regions or --no-stabilize."
            )

    def _keys(self) -> str:
        pressed = [self.keys(), *(runner.sink.key() for runner in self.runners if not runner.sink.threaded)]
        for key in pressed:
            if key == "q":
                return "quit"
            if key == "n":
                self.stylist.next_style()
            elif key in ("m", "o"):
                view = "masks" if key == "m" else "original"
                self.stylist.view = "styled" if self.stylist.view == view else view  # type: ignore[assignment]
                self.governor.settle()
        return ""

    def _plan(self) -> None:
        now = time.monotonic()
        if self.watch is not None and self.reread is not None and now - self.watched > _WATCH:
            self.watched = now
            if self.watch.changed():
                self.stylist.change(self.reread)
        done = self.stylist.poll()
        if isinstance(done, SegnstError):
            self.context.warn(f"The new plan cannot be used, and the old one stays ({self._seconds:.1f} s): {done}")
        elif done:
            self.governor.settle()
            self.context.tell(self.status())

    def _failures(self) -> str:
        for runner in [each for each in self.runners if each.failed is not None]:
            error = runner.failed
            self.runners.remove(runner)
            if isinstance(error, BrokenPipeError) and is_stdout(runner.sink.name):
                words = "The program that read - has gone"
            else:
                words = _refusal(runner)
            if not self.runners:
                if isinstance(error, BrokenPipeError):
                    return words
                raise error if isinstance(error, SegnstError) else OutputError(words) from error
            self.context.warn(f"{words.rstrip('.')}. The other outputs go on.")
        return ""

    def _time(self) -> str:
        limit = self.options.seconds
        return f"{limit:g} seconds are over" if limit is not None and self._seconds >= limit else ""

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self.began if self.began is not None else 0.0

    @property
    def dropped(self) -> int:
        return self.receiver.dropped + self.late + sum(runner.missed for runner in self.runners)

    def status(self) -> Live:
        pace, latency, worst = self.meter.recent(time.monotonic())
        effort = self.governor.effort
        size = self.spec.size if self.spec is not None else (0, 0)
        scale = 1.0 if self.stylist.idle else effort.scale
        return Live(
            seconds=round(self._seconds, 2),
            frames=self.meter.frames,
            pace=round(pace, 2),
            latency=round(latency, 4),
            worst=round(worst, 4),
            dropped=self.dropped,
            size=f"{round(size[0] * scale)}x{round(size[1] * scale)}",
            every=effort.every,
            plan=self.stylist.plan,
            view=self.stylist.view,
        )

    def _tell(self) -> None:
        now = time.monotonic()
        if self.began is not None and now - self.told >= EVERY:
            self.told = now
            self.context.tell(self.status())

    def hear(self, frame: AudioFrame, moment: float) -> None:
        """Hand sound on; called in the receiver's thread."""
        for runner in tuple(self.runners):
            runner.sound(frame, moment)

    def finish(self) -> list[str]:
        """Complete all outputs; returns what could not be completed, in words."""
        failed = []
        for runner in self.runners:
            if not runner.finish():
                failed.append(f"{runner.sink.name} did not take what was left in time.")
            elif runner.failed is not None:
                failed.append(_refusal(runner))
        return failed


def _refusal(runner: Runner) -> str:
    """Why an output could not be written."""
    error = runner.failed
    if error is None or isinstance(error, SegnstError):
        return str(error)
    return f"{runner.sink.name} cannot be written ({reason(error)})."


def live(
    source: str,
    outputs: Sequence[str],
    settings: Settings,
    options: LiveSettings | None = None,
    *,
    plan_file: Path | None = None,
    reread: Callable[[], Settings] | None = None,
    overwrite: bool = False,
    context: Context | None = None,
) -> LiveReport:
    """Style what a source sends, at its own pace, until it ends or is ended.

    source     a camera (its number, device or name), an address, a file, or ``-`` (standard input)
    outputs    window, ``-``, files, addresses, virtualcam, none; by default a window
    plan_file  when this file changes on disk, ``reread()`` gives the new settings, which are taken up

    A KeyboardInterrupt and ``context.cancel`` end the run like the key q: its outputs are completed.

    Raises PlanError, UsageError, InputError, OutputError, WeightsError, ResourceError; outputs are completed then, too.
    """
    context = context or Context()
    options = options or LiveSettings()
    found = find_source(source, options.rate)
    sinks = find_sinks(outputs, source, settings.format, overwrite=overwrite)
    with context.loading():
        stylist = Stylist(settings)
    with ExitStack() as stack:
        stack.enter_context(stdout.standard_output(any(is_stdout(sink.name) for sink in sinks)))
        keys = stack.enter_context(terminal_keys(found.kind != "pipe"))
        hearers: list[_Run] = []

        def hear(frame: AudioFrame, moment: float) -> None:
            for each in hearers:
                each.hear(frame, moment)

        receiver = Receiver(
            found,
            hear,
            latency=options.latency,
            reconnect=options.reconnect,
            rate=options.rate,
        )
        run = _Run(
            receiver, stylist, sinks, options, context, keys, PlanWatch(plan_file) if plan_file else None, reread
        )
        hearers.append(run)
        if any(is_stdout(sink.name) for sink in sinks):
            stdout.output().finish(float("inf"))  # an interrupt ends the source, and what was shown is written
        receiver.start()
        ended, failed = "", list[str]()
        try:
            ended = run.until_the_end()
        except KeyboardInterrupt:
            ended = "interrupted"
        except Cancelled:
            ended = "cancelled"
        finally:
            receiver.close()
            if any(is_stdout(sink.name) for sink in sinks):
                stdout.output().finish(2.0)
            failed = run.finish()
    if run.began is None and ended not in ("interrupted", "cancelled"):
        raise InputError(f"{source} ended before a picture came.")
    for words in failed:
        context.warn(words)
    context.tell(run.status())
    return LiveReport(
        source=source,
        outputs=[sink.name for sink in sinks],
        frames=run.meter.frames,
        dropped=run.dropped,
        seconds=round(run.status().seconds, 3),
        latency=run.meter.mean,
        latency_95=run.meter.percentile(0.95),
        latency_worst=run.meter.largest,
        ended=ended,
        warnings=list(context.warned),
    )
