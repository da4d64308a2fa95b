"""Where things are, and how manifests are rendered and checked."""

import json
import os
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "clumio-exporter"

# What tests/deploy has installed and built.
TOOLS = Path(os.environ["DEPLOY_TOOLS"])
BINARY = Path(os.environ["DEPLOY_BINARY"])
BINARY_STATIC = Path(os.environ["DEPLOY_BINARY_STATIC"])

# The oldest has native sidecars without a feature gate; the newest is the newest whose schemas are published.
KUBERNETES = ("1.29", "1.37")

OPERATOR = "monitoring.coreos.com/v1"


def run(*command, **options):
    """Runs a command; gives what came of it. It must succeed unless `check` is false."""
    options = {"check": True, "capture_output": True, "text": True, **options}
    try:
        return subprocess.run([str(word) for word in command], **options)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error}\n{error.stdout}\n{error.stderr}")


def objects(text):
    """The objects of a stream of YAML, by kind and name."""
    found = [it for it in yaml.safe_load_all(text) if it]
    by_name = {(it["kind"], it["metadata"]["name"]): it for it in found}
    assert len(by_name) == len(found), "two objects have one name"
    return by_name


def only(kind, found):
    """The one object of a kind."""
    these = [it for (its_kind, _), it in found.items() if its_kind == kind]
    assert len(these) == 1, f"{len(these)} of kind {kind}"
    return these[0]


def validate(found):
    """Checks objects against the schemas of Kubernetes and of the Prometheus operator."""
    operators = []
    for it in found.values():
        if it["apiVersion"] == OPERATOR:
            operators.append(it)
            continue
        for version in KUBERNETES:
            kubernetes_validate.validate(it, version, strict=True)
    validate_operator(operators)


def validate_operator(found):
    """The schemas of the operator tell wrong values, and their types tell keys that there are not."""
    if not found:
        return
    here = TOOLS / "node"
    kinds = sorted({it["kind"] for it in found})
    lines = [f"import {{ {', '.join(f'type I{kind}' for kind in kinds)} }} from '{PACKAGE}';"]
    lines += [f"export const o{n}: I{it['kind']} = {json.dumps(it)};" for n, it in enumerate(found)]
    (here / "objects.ts").write_text("\n".join(lines))
    run("node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "objects.ts", cwd=here)
    script = f"""
import * as v1 from '{PACKAGE}';
import {{ readFileSync }} from 'node:fs';
for (const it of JSON.parse(readFileSync(0))) new v1[it.kind](it).validate();
"""
    (here / "validate.mjs").write_text(script)
    run("node", "validate.mjs", cwd=here, input=json.dumps(found))


PACKAGE = f"@kubernetes-models/prometheus-operator/{OPERATOR}"


def pod_template(found):
    return only("Deployment", found)["spec"]["template"]["spec"]


def is_right(config, folder):
    """Whether the exporter takes a config file; what it says."""
    file = folder / "clumio-exporter.toml"
    file.write_text(config)
    # Nothing is sent: there is no token.
    outcome = run(BINARY, "check", "--config.file", file, check=False, env={"SSL_CERT_FILE": certificates()})
    return "every key is right" in outcome.stdout, outcome.stdout + outcome.stderr


def certificates():
    return os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
