"""The Helm chart: every documented combination of values renders to what a cluster takes, and wrong values are refused."""

import copy
import json
import re

import pytest
import yaml
from conftest import BINARY, CHART, DEPLOY, ROOT, TOOLS, is_right, objects, only, pod_template, run, validate

HELM = TOOLS / "bin" / "helm"
EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
MINIMAL = yaml.safe_load((CHART / "ci" / "minimal-values.yaml").read_text())

# Each on top of the minimal values.
VARIATIONS = {
    "a digest": {"image": {"digest": "sha256:" + "0" * 64}},
    "names": {"fullnameOverride": "x" * 80, "nameOverride": "clumio"},
    "login without TLS": {"webConfig": {"secretName": "web"}},
    "a PodMonitor": {"podMonitor": {"enabled": True, "interval": "30s", "scrapeTimeout": "10s"}},
    "relabelings": {
        "serviceMonitor": {
            "enabled": True,
            "relabelings": [{"action": "labeldrop", "regex": "pod"}],
            "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "process_.*"}],
        }
    },
    "a service account of ours": {"serviceAccount": {"create": False, "name": "ours"}},
    "a storage class": {"persistence": {"enabled": True, "storageClassName": "fast", "annotations": {"a": "b"}}},
    "a claim of ours": {"persistence": {"enabled": True, "existingClaim": "ours"}},
    "a policy without egress": {"networkPolicy": {"enabled": True, "egress": {"enabled": False}}},
    "a user of OpenShift": {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    "rules and dashboards": {"prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}},
}

REFUSED = {
    "no image": {"image": {"repository": ""}},
    "no account": {"accounts": []},
    "an unknown value": {"replicaCount": 2},
    "an unknown key of the config": {"config": {"poll": {"intervall": "30s"}}},
    "a number as text": {"config": {"poll": {"page_size": "100"}}},
    "a page that is too large": {"config": {"poll": {"page_size": 10001}}},
    "what the chart sets itself": {"config": {"web": {"listen_address": ":80"}}},
    "an objective without an age": {"config": {"assets": {"objectives": [{"name": "scratch-*"}]}}},
    "an external URL without a scheme": {"config": {"web": {"external_url": "m.example.com"}}},
    "a state directory": {"config": {"state": {"directory": "/tmp"}}},
    "a token": {"accounts": [{**MINIMAL["accounts"][0], "token": "secret"}]},
    "an account without a token": {"accounts": [{"name": "prod", "base_url": "https://example.com"}]},
    "a name that is no file": {"accounts": [{**MINIMAL["accounts"][0], "name": "../prod"}]},
    "TLS without a web config": {"webConfig": {"tls": True}},
    "client certificates without TLS": {"webConfig": {"secretName": "web", "clientCertificates": True}},
    "both monitors": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
    "a digest that is none": {"image": {"digest": "latest"}},
    "a policy for the images": {"image": {"pullPolicy": "Sometimes"}},
}


def merged(values, others):
    values = copy.deepcopy(values)
    for key, other in others.items():
        both = isinstance(other, dict) and isinstance(values.get(key), dict)
        values[key] = merged(values[key], other) if both else other
    return values


def helm(command, values, tmp_path, check=True):
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    words = ["template", "release"] if command == "template" else [command]
    return run(HELM, *words, CHART, "--namespace", "monitoring", "--values", file, check=check)


def render(values, tmp_path):
    return objects(helm("template", values, tmp_path).stdout)


def minimal_with(others):
    return merged(MINIMAL, others)


CASES = [pytest.param(yaml.safe_load(it.read_text()), id=it.name) for it in EXAMPLES]
CASES += [pytest.param(minimal_with(it), id=name) for name, it in VARIATIONS.items()]


@pytest.mark.parametrize("values", CASES)
def test_every_combination_is_what_a_cluster_takes(values, tmp_path):
    helm("lint", values, tmp_path)
    found = render(values, tmp_path)
    validate(found)
    for it in found.values():
        assert it["metadata"]["namespace"] == "monitoring"
    config = only_config(found)
    taken, said = is_right(config, tmp_path)
    assert taken, f"{said}\n{config}"


@pytest.mark.parametrize("values", CASES)
def test_the_pod_is_restricted_and_alone(values, tmp_path):
    found = render(values, tmp_path)
    deployment = only("Deployment", found)
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    pod = pod_template(found)
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"].get("runAsUser") in (65532, None)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container.get("resources") == values.get("resources")
    mounted = {it["name"] for it in container["volumeMounts"]}
    assert mounted == {it["name"] for it in pod["volumes"]}
    assert all("subPath" not in it for it in container["volumeMounts"]), "such a file never changes"


@pytest.mark.parametrize("others", REFUSED.values(), ids=REFUSED.keys())
def test_wrong_values_are_refused_by_the_schema(others, tmp_path):
    for command in ("lint", "template"):
        outcome = helm(command, minimal_with(others), tmp_path, check=False)
        assert outcome.returncode != 0
        assert "schema" in outcome.stdout + outcome.stderr


def only_config(found):
    configs = [it for it in found.values() if "clumio-exporter.toml" in it.get("data", {})]
    assert len(configs) == 1
    return configs[0]["data"]["clumio-exporter.toml"]


def probes(values, tmp_path):
    (container,) = pod_template(render(minimal_with(values), tmp_path))["containers"]
    return container["livenessProbe"], container["readinessProbe"]


@pytest.mark.parametrize("scheme, values", [
    ("HTTP", {}),
    ("HTTP", {"webConfig": {"secretName": "web"}}),
    ("HTTPS", {"webConfig": {"secretName": "web", "tls": True}}),
])
def test_a_kubelet_asks_the_health_paths(scheme, values, tmp_path):
    liveness, readiness = probes(values, tmp_path)
    assert liveness["httpGet"] == {"path": "/-/healthy", "port": "http-metrics", "scheme": scheme}
    assert readiness["httpGet"] == {"path": "/-/ready", "port": "http-metrics", "scheme": scheme}


def test_the_exporter_probes_itself_where_a_kubelet_has_no_certificate(tmp_path):
    web = {"secretName": "web", "tls": True, "clientCertificates": True}
    file = "--config.file=/etc/clumio-exporter/config/clumio-exporter.toml"
    for probe, words in zip(probes({"webConfig": web}, tmp_path), (["probe"], ["probe", "--ready"]), strict=True):
        assert probe["exec"]["command"] == ["/clumio-exporter", *words, file]
        assert "httpGet" not in probe
    commands = run(BINARY, "--help").stdout
    assert re.search(r"^  probe ", commands, re.MULTILINE), "the program must know the command"


def test_the_pod_is_a_new_one_when_the_config_changes_and_only_then(tmp_path):
    def annotations(values):
        return only("Deployment", render(values, tmp_path))["spec"]["template"]["metadata"]["annotations"]

    before = annotations(MINIMAL)
    assert annotations(minimal_with({"config": {"poll": {"interval": "30s"}}})) != before
    assert annotations(minimal_with({"service": {"port": 80}})) == before


def test_the_rules_and_dashboards_are_those_of_the_repository(tmp_path):
    found = render(yaml.safe_load((CHART / "ci" / "operator-values.yaml").read_text()), tmp_path)
    rules = yaml.safe_load((DEPLOY / "prometheus" / "clumio-rules.yml").read_text())
    *shipped, own = only("PrometheusRule", found)["spec"]["groups"]
    assert own["name"] == "clumio-service-level"
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule["annotations"]["runbook_url"] = f"https://wiki.example.com/clumio#{rule['alert'].lower()}"
    assert shipped == rules["groups"]
    dashboards = found["ConfigMap", "release-clumio-exporter-dashboards"]["data"]
    files = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
    assert sorted(dashboards) == [it.name for it in files] != []
    for file in files:
        assert json.loads(dashboards[file.name]) == json.loads(file.read_text())


def test_the_alerts_link_to_the_runbook_of_the_repository_by_default(tmp_path):
    found = render(minimal_with({"prometheusRule": {"enabled": True}}), tmp_path)
    rules = yaml.safe_load((DEPLOY / "prometheus" / "clumio-rules.yml").read_text())
    assert only("PrometheusRule", found)["spec"]["groups"] == rules["groups"]


def test_the_package_has_what_the_links_lead_to(tmp_path):
    run(HELM, "package", CHART, "--destination", tmp_path)
    (package,) = tmp_path.glob("*.tgz")
    rendered = helm_package(package, tmp_path)
    assert "PrometheusRule" in {kind for kind, _ in rendered}
    run("tar", "--extract", "--file", package, "--directory", tmp_path)
    assert not [it for it in (tmp_path / "clumio-exporter").rglob("*") if it.is_symlink()]


def helm_package(package, tmp_path):
    values = tmp_path / "values.json"
    values.write_text(json.dumps(minimal_with(VARIATIONS["rules and dashboards"])))
    return objects(run(HELM, "template", "release", package, "--values", values).stdout)


def test_the_release_is_named_in_the_notes(tmp_path):
    file = tmp_path / "values.json"
    file.write_text(json.dumps(MINIMAL))
    notes = run(HELM, "install", "release", CHART, "--dry-run=client", "--values", file).stdout
    assert "port-forward service/release-clumio-exporter 10317" in notes
    assert "clumio-token, key token (account prod)" in notes


def test_the_schema_has_every_key_of_the_config_that_is_not_the_charts():
    of_chart = {"web.listen_address", "web.config_file", "state.directory"}
    of_chart |= {f"accounts.{key}" for key in ("token_file", "token_env", "ca_file")}
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    tables = {**schema["config"]["properties"], "accounts": schema["accounts"]["items"]}
    in_schema = {f"{table}.{key}" for table, it in tables.items() for key in it["properties"]}
    assert in_schema - {"accounts.tokenSecret", "accounts.caConfigMap"} == config_keys() - of_chart


def config_keys():
    """The keys of the reference, which has them all; most are commented out."""
    keys, table = set(), None
    for line in (ROOT / "config" / "clumio-exporter.toml").read_text().splitlines():
        if header := re.match(r"\[+(\w+)\]", line):
            table = header[1]
        elif key := re.match(r"(?:# )?(\w+) = ", line):
            keys.add(f"{table}.{key[1]}")
    assert "poll.interval" in keys and "accounts.token_file" in keys
    return keys


def test_the_versions_are_those_of_the_program():
    version = run(BINARY, "--version").stdout.split()[1]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert f"ARG VERSION={version}\n" in (DEPLOY / "docker" / "Dockerfile").read_text()


def test_the_readme_has_every_value():
    readme = (CHART / "README.md").read_text()
    for key in yaml.safe_load((CHART / "values.yaml").read_text()):
        assert f"`{key}" in readme, key
