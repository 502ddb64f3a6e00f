"""Simulate all players under all policies and assumptions in several processes, and compute metrics with intervals.

The players are the same under every policy (common random numbers), so that differences are paired. Intervals come from
resampling the players, with the same resamples for every policy. They describe random variation between players, not
the uncertainty of the assumptions. The settings of the policies were chosen with 160 to 300 players of seed 1.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fer_lightning.difficulty.policy import Policy
from fer_lightning.simulate.people import person
from fer_lightning.simulate.play import PlayedGame, PolicyArm, play
from fer_lightning.simulate.sensors import recognition
from fer_lightning.simulate.settings import People
from fer_lightning.statistics.metrics import ratio
from fer_lightning.statistics.resampling import RESAMPLES, interval, resampled_counts
from fer_lightning.terminal import Progress

BASELINE, SEEING, BLIND = "performance", "affect", "affect, camera off"
PART = 2  # number of players per job
LEAST_SHARE = 4  # one of this many players also plays under other assumptions
REVERSALS = 600  # seconds; unit of time of the rates
# metric -> (numerator, denominator) as fields of PlayedGame; None: planned seconds, 1: players
METRICS = {
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
class MetricValue:
    """Value of a metric with its 95 % interval; NaN if it is undefined."""

    value: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """True if the interval of a difference excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Result:
    """Results of one policy.

    metrics      metrics by name
    differences  differences from the policy `performance`
    by_camera    differences from the same policy without the camera; empty without such a policy
    by_minute    share of players in flow in each minute
    """

    arm: PolicyArm
    metrics: dict[str, MetricValue]
    differences: dict[str, MetricValue]
    by_camera: dict[str, MetricValue]
    by_minute: list[float]


@dataclass(frozen=True)
class PlayerBatch:
    """A few players who play under every policy, in one process."""

    people: People
    confusion: Confusion | None
    arms: tuple[PolicyArm, ...]
    minutes: int
    seed: int
    numbers: range

    def run(self) -> list[list[PlayedGame]]:
        """Return the sessions of these players, by player and arm."""
        classes, counts = self.confusion or ((), ())
        model = recognition(classes, counts, self.people.mistakes) if self.confusion else None
        sessions = []
        for number in self.numbers:
            someone = person(self.people, classes, 60 * self.minutes, self.seed, number)
            sessions.append([play(self.people, someone, arm, model, self.minutes) for arm in self.arms])
        return sessions


def arms(policies: Mapping[str, Policy], *, faces: bool) -> tuple[PolicyArm, ...]:
    """Return the arms to compare. `policies` are the options of conf/live/policy/; `faces`: a face model is set."""
    affect = policies["affect"]
    with_faces = (PolicyArm(SEEING, affect, faces=True, texts=True),) if faces else ()
    return (
        PolicyArm("fixed", policies["fixed"]),
        PolicyArm(BASELINE, policies[BASELINE]),
        *with_faces,
        PolicyArm(BLIND, affect, texts=True),
        PolicyArm("oracle", affect, oracle=True),
    )


def scenarios(people: People, others: Mapping[str, Mapping[str, float]]) -> dict[str, People]:
    """Return the assumptions by name: the main ones as "as assumed", then the others."""
    changed = {name.replace("_", " "): replace(people, **values) for name, values in others.items()}
    return {"as assumed": people} | changed


def simulate(
    worlds: Mapping[str, People],
    arms: tuple[PolicyArm, ...],
    *,
    confusion: Confusion | None,
    players: int,
    minutes: int,
    seed: int,
    workers: int,
    progress: Progress | None = None,
) -> dict[str, list[Result]]:
    """Return the results by set of assumptions (world) and arm.

    The first world uses all players, the others a quarter of them. The number of workers does not change the results.
    `progress` is called with the numbers of finished players and of all players.
    """
    jobs = []
    for index, (name, people) in enumerate(worlds.items()):
        count = players if index == 0 else max(players // LEAST_SHARE, 1)
        for first in range(0, count, PART):
            numbers = range(first, min(first + PART, count))
            jobs.append((name, PlayerBatch(people, confusion, arms, minutes, seed, numbers)))
    done = _in_processes([job for _, job in jobs], workers, progress or (lambda done, total: None))
    results = {}
    for world in worlds:
        sessions = [one for (name, _), part in zip(jobs, done, strict=True) if name == world for one in part]
        results[world] = summarised(sessions, arms, minutes, seed)
    return results


def summarised(
    sessions: Sequence[Sequence[PlayedGame]],
    arms: Sequence[PolicyArm],
    minutes: int,
    seed: int,
) -> list[Result]:
    """Return the results of sessions by player and arm."""
    each = np.ones(len(sessions), int)
    weights = np.vstack([each, resampled_counts(each, [seed, 2], RESAMPLES)])
    ratios = [_ratios([row[index] for row in sessions], minutes, weights) for index in range(len(arms))]
    by_name = {arm.name: ratio for arm, ratio in zip(arms, ratios, strict=True)}
    return [
        Result(
            arm=arm,
            metrics={name: _with_interval(samples) for name, samples in ratio.items()},
            differences=_differences(ratio, by_name[BASELINE]),
            by_camera=_differences(ratio, by_name[BLIND]) if arm.name == SEEING and BLIND in by_name else {},
            by_minute=(np.array([row[index].by_minute for row in sessions]).mean(axis=0) / 60).tolist(),
        )
        for index, (arm, ratio) in enumerate(zip(arms, ratios, strict=True))
    ]


def _ratios(sessions: Sequence[PlayedGame], minutes: int, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return each metric (R + 1,): for all players, then for each resample; NaN for 0 / 0."""
    ratios = {}
    for name, (part, whole) in METRICS.items():
        over = weights @ np.array([getattr(one, part) for one in sessions], float)
        if whole is None or whole == 1:
            under = weights.sum(axis=1) * (60 * minutes if whole is None else 1)
        else:
            under = weights @ np.array([getattr(one, whole) for one in sessions], float)
        scale = REVERSALS if name in ("reversals", "changes") else 1
        ratios[name] = scale * ratio(over, under)
    return ratios


def _differences(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, MetricValue]:
    return {name: _with_interval(one[name] - other[name]) for name in COMPARED}


def _with_interval(samples: np.ndarray) -> MetricValue:
    return MetricValue(float(samples[0]), *interval(samples[1:]))


def _in_processes(jobs: Sequence[PlayerBatch], workers: int, progress: Progress) -> list[list[list[PlayedGame]]]:
    """Return the results of the jobs, in the same order."""
    total, done = sum(len(job.numbers) for job in jobs), 0
    results: list[Any] = [None] * len(jobs)
    progress(0, total)
    if workers == 1:
        for index, job in enumerate(jobs):
            results[index] = job.run()
            done += len(job.numbers)
            progress(done, total)
        return results
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent) as pool:
        indices = {pool.submit(job.run): index for index, job in enumerate(jobs)}
        try:
            for future in as_completed(indices):
                index = indices[future]
                results[index] = future.result()
                done += len(jobs[index].numbers)
                progress(done, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def _follow_parent() -> None:
    """Ignore Ctrl-C, which the parent process handles, and end this process if the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
