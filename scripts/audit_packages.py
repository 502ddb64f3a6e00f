"""Print known vulnerabilities of the installed packages; the second half of `make security`.

pip-audit itself prints "No known vulnerabilities found" even if its service knows none of the packages, for example
behind a mirror. This command counts the packages that were not audited. Its exit status is:

- 1 if a package has a known vulnerability and a version without it is available
- 0 otherwise, also if no service answers; it then prints that nothing was audited

Arguments are passed to pip-audit, for example --ignore-vuln ID.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

SERVICES = {"pypi": "https://pypi.org", "osv": "https://api.osv.dev"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _, arguments = parser.parse_known_args(arguments)
    for service in SERVICES:
        packages = look_up(service, arguments)
        if any("vulns" in package for package in packages):
            return report(packages)
    print(f"not audited: no answer from {', '.join(SERVICES.values())}. Run make security where one can be reached.")
    return 0


def look_up(service: str, arguments: list[str]) -> list[dict[str, Any]]:
    """Return name and version of each package, with `vulns` or a `skip_reason`; [] if the service does not answer."""
    command = [sys.executable, "-m", "pip_audit", "-s", service, "-f", "json", "--progress-spinner", "off"]
    run = subprocess.run([*command, "--skip-editable", *arguments], capture_output=True, text=True, check=False)
    try:
        return json.loads(run.stdout)["dependencies"]
    except (ValueError, KeyError):
        if "onnection" not in run.stderr:
            sys.exit(f"pip-audit failed:\n{run.stderr[-2000:]}")
        return []


def report(packages: list[dict[str, Any]]) -> int:
    """Print the known vulnerabilities; return 1 if a version without one of them is available."""
    audited = [package for package in packages if "vulns" in package]
    vulnerable = [(package, vulnerability) for package in audited for vulnerability in package["vulns"]]
    for package, vulnerability in vulnerable:
        fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    skipped = [package["name"] for package in packages if "vulns" not in package]
    print(f"{len(audited)} packages audited, {len(vulnerable)} known vulnerabilities")
    if skipped:
        print(f"not audited: {', '.join(skipped)}")
    return int(any(vulnerability["fix_versions"] for _, vulnerability in vulnerable))


if __name__ == "__main__":
    sys.exit(main())
