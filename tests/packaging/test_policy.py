"""What a policy checker says of the manifests and of the image."""

import json

import pytest
from conftest import CHART, DEPLOY, TOOLS, run
from test_chart import HELM
from test_kustomize import FOLDER

# Each check that is left out, and why.
SKIPPED = {
    "CKV_K8S_10": "resources: unset by default, for only users know their accounts",
    "CKV_K8S_11": "resources: as above",
    "CKV_K8S_12": "resources: as above",
    "CKV_K8S_13": "resources: as above",
    "CKV_K8S_43": "a digest of the image: there is a value for it, and no published image that could be named",
    "CKV2_K8S_6": "a network policy: there is a value for it, and only users know who scrapes",
    "CKV_K8S_15": "always pull: what a tag of a release names does not change",
    "CKV_DOCKER_2": "HEALTHCHECK: only users know the flags; Kubernetes has probes of its own",
}


def checkov(*words):
    skipped = ",".join(SKIPPED)
    command = [TOOLS / "checkov" / "bin" / "checkov", "--skip-download", "--quiet", "--compact", "--output", "json"]
    outcome = run(*command, "--skip-check", skipped, *words, check=False)
    reports = json.loads(outcome.stdout)
    reports = reports if isinstance(reports, list) else [reports]
    assert sum(it["summary"]["passed"] for it in reports) > 5, outcome.stdout
    return [f"{it['check_id']} {it['check_name']}: {it['resource']}" for report in reports for it in report["results"]["failed_checks"]]


@pytest.mark.parametrize("values", sorted(it.name for it in (CHART / "ci").iterdir()))
def test_the_chart_breaks_no_policy(values, tmp_path):
    manifest = tmp_path / "manifest.yaml"
    words = ["--namespace", "monitoring", "--values", CHART / "ci" / values]
    manifest.write_text(run(HELM, "template", "release", CHART, *words).stdout)
    assert checkov("--framework", "kubernetes", "--file", manifest) == []


def test_the_kustomization_breaks_no_policy(tmp_path):
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(run(TOOLS / "bin" / "kubectl", "kustomize", FOLDER / "examples" / "deployment").stdout)
    assert checkov("--framework", "kubernetes", "--file", manifest) == []


def test_the_dockerfile_breaks_no_policy():
    assert checkov("--framework", "dockerfile", "--file", DEPLOY / "docker" / "Dockerfile") == []
