"""Reads a profile by its published schema and prints the numbers of its roofline, as `examples/read_profile.rs` does.

    python3 examples/read_profile.py profile.json

Only Python's standard library is needed. Where `jsonschema` is installed, the profile is held against the schema first.
"""

import json
import sys
from pathlib import Path

SCHEMA = Path(__file__).parent.parent / "profiles" / "schema" / "profile-1.json"


def check(profile):
    """Refuses what is no profile of this major version, or breaks the schema."""
    name, _, version = str(profile.get("schema")).partition("/")
    if name != "rooflab.profile" or version != "1":
        sys.exit(f"this is not a rooflab.profile/1: {profile.get('schema')}")
    try:
        import jsonschema
    except ImportError:
        return
    jsonschema.validate(profile, json.loads(SCHEMA.read_text(encoding="utf-8")))


def ask(profile, resource):
    """The value of a resource of the whole device, and how it is known: rooflab measured it, another tool did, or the maker states it."""
    for ceiling in profile.get("ceilings", []):
        # A ceiling has points, or a reason why there are none. Of a level of memory or of a peak, the last point stands for it.
        if ceiling["resource"] == resource and ceiling["scope"] == "device" and ceiling["status"] == "ok":
            return ceiling["points"][-1]["value"], "measured"
    values = [entry["points"][-1]["value"] for entry in profile.get("imported", []) if entry["resource"] == resource]
    if values:
        return max(values), "imported"
    for claim in profile.get("datasheet", []):
        if claim["resource"] == resource:
            return claim["value"], "datasheet"
    return None


def kind(profile):
    if "instrument" in profile:
        return "measured"
    return "imported" if profile.get("imported") and not profile.get("ceilings") else "datasheet"


def main(path):
    profile = json.loads(Path(path).read_text(encoding="utf-8"))
    check(profile)
    print(f"{profile['device']['name']} ({kind(profile)})")
    memory = ask(profile, "memory.dram.read")
    if memory is None:
        print("the bandwidth of its memory is not known")
        return
    bandwidth, how = memory
    print(f"memory.dram.read: {bandwidth / 1e9:.1f} GB/s, {how}")
    for key in ["compute.vector.f32", "compute.vector.bf16.f32", "compute.matrix.bf16.f32"]:
        known = ask(profile, key)
        if known:
            peak, how = known
            print(f"{key}: {peak / 1e9:.1f} GFLOP/s, {how}; ridge at {peak / bandwidth:.1f} FLOP/B")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: read_profile.py PROFILE.json")
    main(sys.argv[1])
