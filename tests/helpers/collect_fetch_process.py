"""Run the step fetch on a collection in a process of its own: python collect_fetch_process.py ROOT DEADLINE

Says "begun" when the collection is open, and at the end its counts and the most memory that it and its decoder had at
once, in bytes, as JSON.
"""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from fer_lightning.collect.http.client import ImageClient
from fer_lightning.collect.steps.fetch import fetch
from fer_lightning.collect.store.collection import Collection


def main(root: str, deadline: str) -> None:
    client = ImageClient(
        user_agent="fer_lightning/0.1 (someone@example.org)",
        allow_loopback=True,
        deadline=float(deadline),
        requests_per_second=1e9,
        connections_per_host=4,
        sleep=lambda seconds: None,
    )
    with Collection(root) as collection:
        print("begun", flush=True)
        result = fetch(collection, client=client, provider="web", hosts=None)
    decoder = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps(asdict(result) | {"own": own_peak(), "decoder": decoder}))


def own_peak() -> int:
    """Bytes. What getrusage says of a process begins with what its parent had."""
    return 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
