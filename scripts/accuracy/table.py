"""Measured and predicted times as tables in Markdown, and as a document."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import clock
from cases import Load, Run
from readings import Reading
from predict import Account, Times

DISTURBED = 0.05  # relative scatter from which a time says little


@dataclass
class Case:
    """A load on an engine: what it took, and what was predicted."""

    run: Run
    load: Load
    reading: Reading
    by: dict[str, Times] = field(default_factory=dict)  # of a profile, a datasheet, a profile with an engine's
    account: Account = field(default_factory=Account)


PROFILE, DATASHEET, ENGINE = "profile", "datasheet", "engine"
WAYS = (DATASHEET, PROFILE, ENGINE)
TITLES = {PROFILE: "profile", DATASHEET: "datasheet alone", ENGINE: "profile and engine profile"}
METRICS = ("ttft", "tpot")


def error(case: Case, way: str, metric: str) -> float | None:
    """Predicted over measured, less 1: below 0, the estimate is too fast."""
    samples, predicted = getattr(case.reading, metric), getattr(case.by.get(way, Times()), metric)
    return predicted / clock.median(samples) - 1 if samples and predicted else None


@dataclass(frozen=True)
class Errors:
    """The errors of a set of cases."""

    cases: int
    mape: float
    bias: float
    beaten: float  # by how much the fastest measured time is below its estimate, at most

    @classmethod
    def of(cls, errors: Sequence[float]) -> Errors | None:
        if not errors:
            return None
        mean = statistics.fmean
        return cls(len(errors), mean(abs(each) for each in errors), mean(errors), max(0.0, *errors))


def of_engine(cases: Sequence[Case], engine: str, way: str, metric: str) -> Errors | None:
    """The errors of an engine's cases."""
    errors = [error(case, way, metric) for case in cases if case.run.engine.name == engine]
    return Errors.of([each for each in errors if each is not None])


def markdown(cases: Sequence[Case], missing: Sequence[str], facts: Mapping[str, Any]) -> str:
    """All tables."""
    engines = list(dict.fromkeys(case.run.engine.name for case in cases))
    who = ", ".join(facts["engines"].values()) or "no engine"
    intro = [
        f"{facts['device']}, {facts['threads']} threads; profile `{facts['profile']}`; datasheet {facts['datasheet'] or 'unknown'}; {who}.",
        f"{facts['rounds']} rounds in {facts['minutes']} minutes; each time the median of the undisturbed repetitions, ± the median of their distances from it.",
    ]
    parts = [*intro, "", *summary(cases, engines), ""]
    for metric, title in (("ttft", "Time to the first token"), ("tpot", "Time per token")):
        parts += [f"### {title}", "", *details(cases, metric), ""]
    parts += ["### What `rooflab diagnose` says of the rest", "", *accounts(cases), ""]
    if missing:
        parts += ["### What did not run", "", *(f"- {line}" for line in missing), ""]
    return "\n".join(parts)


def summary(cases: Sequence[Case], engines: Sequence[str]) -> list[str]:
    rows = []
    for engine in engines:
        for metric in METRICS:
            row = [engine, metric.upper()]
            for way in WAYS:
                errors = of_engine(cases, engine, way, metric)
                row.append(f"{errors.mape:.1%} ({errors.bias:+.1%})" if errors else "–")
            bound = of_engine(cases, engine, PROFILE, metric)
            row += [str(bound.cases), f"{bound.beaten:.1%}"] if bound else ["0", "–"]
            rows.append(row)
    ways = [f"{TITLES[way]}: MAPE (bias)" for way in WAYS]
    return grid(["engine", "time", *ways, "cases", "bound of the profile beaten by at most"], rows, left=2)


def details(cases: Sequence[Case], metric: str) -> list[str]:
    rows = []
    for case in cases:
        samples = getattr(case.reading, metric)
        if not samples:
            continue
        scatter = clock.scatter(samples)
        row = [*names(case), seconds(clock.median(samples)), f"{scatter:.1%}{' !' if scatter > DISTURBED else ''}"]
        for way in WAYS:
            predicted, off = getattr(case.by.get(way, Times()), metric), error(case, way, metric)
            row.append(f"{seconds(predicted)} {off:+.1%}" if predicted and off is not None else "–")
        rows.append(row)
    return grid([*NAMES, "measured", "±", *(TITLES[way] for way in WAYS)], rows, left=3)


def accounts(cases: Sequence[Case]) -> list[str]:
    rows = []
    for case in cases:
        if case.reading.complete:
            rest = [f"{case.account.unexplained[phase]:.0%}" if phase in case.account.unexplained else "–" for phase in ("prefill", "decode")]
            rows.append([*names(case), case.account.finding or case.account.reason or "nothing", *rest])
    return grid([*NAMES, "first finding", "unexplained of prompts", "of decoding"], rows, left=3)


NAMES = ("engine", "model", "format", "batch", "prompt", "context")


def names(case: Case) -> list[str]:
    load = case.load
    return [case.run.engine.name, case.run.model.name, case.run.format, str(load.batch), str(load.prompt), f"{load.context:.0f}"]


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """A table whose columns after the first few are numbers."""
    rule = ["---" if column < left else "---:" for column in range(len(header))]
    return ["| " + " | ".join(row) + " |" for row in (header, rule, *rows)]


def seconds(time: float) -> str:
    """A time in three digits."""
    scale, unit = (1.0, "s") if time >= 1 else (1e3, "ms") if time >= 1e-3 else (1e6, "µs")
    value = time * scale
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"


def document(cases: Sequence[Case], missing: Sequence[str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The same as JSON."""
    engines = dict.fromkeys(case.run.engine.name for case in cases)

    def errors(engine: str, way: str, metric: str) -> dict[str, float] | None:
        found = of_engine(cases, engine, way, metric)
        return vars(found) if found else None

    all_errors = {engine: {metric: {way: errors(engine, way, metric) for way in WAYS} for metric in METRICS} for engine in engines}
    return {**facts, "errors": all_errors, "cases": [entry(case) for case in cases], "missing": list(missing)}


def entry(case: Case) -> dict[str, Any]:
    measured = {
        metric: {"median": clock.median(samples), "scatter": clock.scatter(samples), "samples": len(samples), "clean": sum(not off for _, off in samples)}
        for metric in METRICS
        if (samples := getattr(case.reading, metric))
    }
    return {
        **dict(zip(NAMES, names(case), strict=True)),
        "measured": measured,
        "predicted": {way: vars(times) for way, times in case.by.items()},
        "errors": {metric: {way: error(case, way, metric) for way in WAYS} for metric in METRICS},
        "diagnosis": vars(case.account),
        "reason": case.reading.reason,
    }
