"""What rooflab says of a run: estimates, and the account of a measured time."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cases import Load, Run


@dataclass(frozen=True)
class Times:
    """The two times of a load, in seconds; or why there are none."""

    ttft: float | None = None
    tpot: float | None = None
    reason: str = ""
    rests_on: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Account:
    """What `rooflab diagnose` says of a measured run."""

    finding: str = ""
    unexplained: dict[str, float] = field(default_factory=dict)  # by phase, as a share of the measured time
    reason: str = ""


class Rooflab:
    """The program with the profiles that it is asked with."""

    def __init__(self, binary: Path, profile: str) -> None:
        self.binary, self.profile = binary, profile

    def json(self, *arguments: str) -> Any:
        """What a command writes as JSON. Raises ValueError with what it says where it fails."""
        command = [str(self.binary), *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode not in (0, 1) or not done.stdout.strip():
            raise ValueError((done.stderr.strip().splitlines() or ["nothing said"])[0])
        return json.loads(done.stdout)

    def datasheet(self) -> str:
        """The datasheet that ships for the profile's device; nothing where none does."""
        try:
            answer = self.json("estimate", "-m", "qwen2.5-0.5b", "-f", self.profile, "--against", "datasheet")
            return str(answer["against"]["hardware"]["profile"])
        except (ValueError, KeyError):
            return ""

    def estimate(self, run: Run, model: str, load: Load, profile: str = "", engine: str = "") -> Times:
        """The times of a load by a profile, with or without an engine's."""
        with_engine = ["--engine", engine] if engine else []
        try:
            answer = self.json("estimate", *subject(run, model, load), "-f", profile or self.profile, *with_engine)["estimate"]
            served = answer["served"]
            if served["status"] != "steady":
                return Times(reason=f"the estimate: {served['status']}")
            rests_on = [each["why"] for phase in ("prefill", "decode") for each in answer[phase]["assumptions"]]
            return Times(served["ttft"]["mean"], served["tpot"], rests_on=sorted(set(rests_on)))
        except (ValueError, KeyError) as error:
            return Times(reason=str(error))

    def diagnose(self, run: Run, model: str, load: Load, ttft: float, tpot: float, threads: int) -> Account:
        """The first finding, and what nothing explains."""
        times = ["--ttft", f"{ttft * 1e3:.6g}ms", "--tpot", f"{tpot * 1e3:.6g}ms", "--threads", str(threads)]
        try:
            document = self.json("diagnose", *subject(run, model, load), "-f", self.profile, *times)
            found = document["findings"][:1]
            phases = document["phases"]
            rest = {phase["kind"]: spent["share"] for phase in phases for spent in phase["spent"] if spent["on"] == "unexplained"}
            return Account(" ".join(f"{each['rule']} {each['name']}" for each in found), rest)
        except (ValueError, KeyError, TypeError) as error:
            return Account(reason=str(error))


def subject(run: Run, model: str, load: Load) -> list[str]:
    """The arguments that say what runs."""
    weights = [] if model.endswith(".gguf") else ["--weights", run.format]
    sizes = ["--batch", str(load.batch), "--prompt", str(load.prompt), "--generate", str(load.generate)]
    return ["-m", model, *weights, "--kv", run.engine.cache(run.format), *sizes]
