"""Known vulnerabilities of the packages that are installed here; the second half of `make security`.

pip-audit alone says "No known vulnerabilities found" where its service knows none of the packages, as behind a mirror.
Here those are counted: where no service answers, the command says that nothing was audited and is no failure; it fails
where a vulnerability is known and a version without it is out. Arguments are passed on: --ignore-vuln ID.
"""

import json
import subprocess
import sys
from typing import Any

SERVICES = {"pypi": "https://pypi.org", "osv": "https://api.osv.dev"}


def main(arguments: list[str]) -> int:
    for service in SERVICES:
        packages = look_up(service, arguments)
        if any("vulns" in package for package in packages):
            return report(packages)
    print(f"not audited: none of {', '.join(SERVICES.values())} answered; run make security where they can be reached")
    return 0


def look_up(service: str, arguments: list[str]) -> list[dict[str, Any]]:
    """Of each package its name and version with `vulns`, or with a `skip_reason`; nothing where the service is away."""
    command = [sys.executable, "-m", "pip_audit", "-s", service, "-f", "json", "--progress-spinner", "off"]
    run = subprocess.run([*command, "--skip-editable", *arguments], capture_output=True, text=True, check=False)
    try:
        return json.loads(run.stdout)["dependencies"]
    except (ValueError, KeyError):
        if "onnection" not in run.stderr:
            sys.exit(f"pip-audit failed:\n{run.stderr[-2000:]}")
        return []


def report(packages: list[dict[str, Any]]) -> int:
    """Print what is known; 1 where something can be done about it."""
    audited = [package for package in packages if "vulns" in package]
    known = [(package, vulnerability) for package in audited for vulnerability in package["vulns"]]
    for package, vulnerability in known:
        mended = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {vulnerability['id']}, mended in {mended}")
    skipped = [package["name"] for package in packages if "vulns" not in package]
    print(f"{len(audited)} packages audited, {len(known)} known vulnerabilities")
    if skipped:
        print(f"not audited: {', '.join(skipped)}")
    return int(any(vulnerability["fix_versions"] for _, vulnerability in known))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
