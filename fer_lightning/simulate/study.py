"""All players under all policies, in several processes, and under other assumptions; figures with their intervals.

The players are the same under every policy (common random numbers), so that differences are paired. Intervals come from
resampling players; each policy's figures see the same resamples. They speak of the luck of the draw, not of whether the
assumptions hold. The policies' own settings were tried out on 160 to 300 players of seed 1.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fer_lightning.simulate.people import People, person
from fer_lightning.simulate.play import Arm, Session, play
from fer_lightning.simulate.sensors import recognition
from fer_lightning.statistics.bootstrap import RESAMPLES, interval

BASELINE, SEEING, BLIND = "performance", "affect", "affect, camera off"
PART = 2  # players of one job
LEAST_SHARE = 4  # of the players, one in so many plays under other assumptions
REVERSALS = 600  # seconds
# name -> (numerator, denominator) as fields of Session; None: planned seconds, 1: players
FIGURES = {
    "flow": ("flow", None),
    "left": ("left", 1),
    "reversals": ("reversals", "played"),
    "changes": ("changes", "played"),
    "named": ("named", "played"),
    "right": ("right", "named"),
}
COMPARED = ("flow", "left", "reversals")

Confusion = tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]  # classes, counts of true class by label


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval; NaN where there is none."""

    value: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """As a difference: its interval leaves out 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Result:
    """Of one policy.

    figures      by name; `differences`: from performance alone
    by_camera    difference from the same policy without the camera; none where there is nothing to compare
    by_minute    share in flow of each minute
    """

    arm: Arm
    figures: dict[str, Figure]
    differences: dict[str, Figure]
    by_camera: dict[str, Figure]
    by_minute: list[float]


@dataclass(frozen=True)
class Job:
    people: People
    confusion: Confusion | None
    arms: tuple[Arm, ...]
    minutes: int
    seed: int
    numbers: range

    def run(self) -> list[list[Session]]:
        """The sessions of these players, by player and arm."""
        classes, counts = self.confusion or ((), ())
        model = recognition(classes, counts, self.people.mistakes) if self.confusion else None
        sessions = []
        for number in self.numbers:
            someone = person(self.people, classes, 60 * self.minutes, self.seed, number)
            sessions.append([play(self.people, someone, arm, model, self.minutes) for arm in self.arms])
        return sessions


def arms(policies: Mapping[str, dict[str, Any]], *, faces: bool) -> tuple[Arm, ...]:
    """What is compared. `policies`: the options of conf/live/policy/; `faces`: whether there is a face model."""
    affect = policies["affect"]
    with_faces = (Arm(SEEING, affect, faces=True, texts=True),) if faces else ()
    return (
        Arm("fixed", policies["fixed"]),
        Arm(BASELINE, policies[BASELINE]),
        *with_faces,
        Arm(BLIND, affect, texts=True),
        Arm("oracle", affect, oracle=True),
    )


def scenarios(people: People, others: Mapping[str, Mapping[str, float]]) -> dict[str, People]:
    """The assumptions, under "as assumed", and what else is tried."""
    changed = {name.replace("_", " "): replace(people, **values) for name, values in others.items()}
    return {"as assumed": people} | changed


def simulate(
    worlds: Mapping[str, People],
    arms: tuple[Arm, ...],
    *,
    confusion: Confusion | None,
    players: int,
    minutes: int,
    seed: int,
    workers: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, list[Result]]:
    """Results by world and arm; the first world with all players, the others with a quarter of them.

    The same for any number of workers. `progress` hears of players done, of all.
    """
    jobs = []
    for place, (name, people) in enumerate(worlds.items()):
        count = players if place == 0 else max(players // LEAST_SHARE, 1)
        for first in range(0, count, PART):
            numbers = range(first, min(first + PART, count))
            jobs.append((name, Job(people, confusion, arms, minutes, seed, numbers)))
    done = _in_processes([job for _, job in jobs], workers, progress)
    results = {}
    for world in worlds:
        sessions = [one for (name, _), part in zip(jobs, done, strict=True) if name == world for one in part]
        results[world] = summarised(sessions, arms, minutes, seed)
    return results


def summarised(
    sessions: Sequence[Sequence[Session]], arms: Sequence[Arm], minutes: int, seed: int, resamples: int = RESAMPLES
) -> list[Result]:
    """Of sessions by player and arm."""
    random = np.random.default_rng([seed, 2])
    players = len(sessions)
    weights = random.multinomial(players, [1 / players] * players, size=resamples)
    weights = np.vstack([np.ones((1, players)), weights])
    ratios = [_ratios([row[place] for row in sessions], minutes, weights) for place in range(len(arms))]
    by_name = {arm.name: ratio for arm, ratio in zip(arms, ratios, strict=True)}
    return [
        Result(
            arm=arm,
            figures={name: _figure(samples) for name, samples in ratio.items()},
            differences=_differences(ratio, by_name[BASELINE]),
            by_camera=_differences(ratio, by_name[BLIND]) if arm.name == SEEING and BLIND in by_name else {},
            by_minute=(np.array([row[place].by_minute for row in sessions]).mean(axis=0) / 60).tolist(),
        )
        for place, (arm, ratio) in enumerate(zip(arms, ratios, strict=True))
    ]


def _ratios(sessions: Sequence[Session], minutes: int, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Each figure (R + 1,): of all players, then of the resamples; NaN where it is 0 / 0."""
    found = {}
    for name, (part, whole) in FIGURES.items():
        over = weights @ np.array([getattr(one, part) for one in sessions], float)
        if whole is None or whole == 1:
            under = weights.sum(axis=1) * (60 * minutes if whole is None else 1)
        else:
            under = weights @ np.array([getattr(one, whole) for one in sessions], float)
        scale = REVERSALS if name in ("reversals", "changes") else 1
        found[name] = scale * np.divide(over, under, out=np.full_like(over, np.nan), where=under > 0)
    return found


def _differences(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, Figure]:
    return {name: _figure(one[name] - other[name]) for name in COMPARED}


def _figure(samples: np.ndarray) -> Figure:
    return Figure(float(samples[0]), *interval(samples[1:]))


def _in_processes(jobs: Sequence[Job], workers: int, progress: Callable[[int, int], None]) -> list[list[list[Session]]]:
    """The jobs' results in their order."""
    total, done = sum(len(job.numbers) for job in jobs), 0
    results: list[Any] = [None] * len(jobs)
    progress(0, total)
    if workers == 1:
        for place, job in enumerate(jobs):
            results[place] = job.run()
            done += len(job.numbers)
            progress(done, total)
        return results
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent) as pool:
        places = {pool.submit(job.run): place for place, job in enumerate(jobs)}
        try:
            for future in as_completed(places):
                place = places[future]
                results[place] = future.result()
                done += len(jobs[place].numbers)
                progress(done, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def _follow_parent() -> None:
    """Ctrl-C is the parent's to answer; where it is killed, so is this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
