"""The kustomization: a Deployment of its own, and a sidecar that can do no harm to what it is added to."""

import pytest
import yaml
from conftest import DEPLOY, TOOLS, is_right, objects, only, pod_template, run, validate

FOLDER = DEPLOY / "kustomize"


def kustomize(folder):
    return objects(run(TOOLS / "bin" / "kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", folder).stdout)


@pytest.mark.parametrize("folder", ["base", "examples/deployment", "examples/sidecar"])
def test_it_is_what_a_cluster_takes(folder, tmp_path):
    found = kustomize(FOLDER / folder)
    validate(found)
    config = only("ConfigMap", found)["data"]["clumio-exporter.toml"]
    taken, said = is_right(config, tmp_path)
    assert taken, said


def test_the_config_is_found_under_the_name_that_it_gets():
    for folder in ("examples/deployment", "examples/sidecar"):
        found = kustomize(FOLDER / folder)
        name = only("ConfigMap", found)["metadata"]["name"]
        deployment = next(it for (kind, _), it in found.items() if kind == "Deployment")
        volumes = deployment["spec"]["template"]["spec"]["volumes"]
        assert [it["configMap"]["name"] for it in volumes if "configMap" in it] == [name]


def test_the_deployment_is_restricted_and_alone():
    found = kustomize(FOLDER / "base")
    deployment = only("Deployment", found)["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    pod = pod_template(found)
    assert pod["enableServiceLinks"] is pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsUser"] == 65532
    assert restricted(pod["containers"][0]["securityContext"])


def restricted(context):
    return (
        context["allowPrivilegeEscalation"] is False
        and context["readOnlyRootFilesystem"] is True
        and context["capabilities"] == {"drop": ["ALL"]}
    )


@pytest.fixture
def applications(tmp_path):
    """The Deployments of an overlay with the component, before and after."""
    folder = FOLDER / "examples" / "sidecar"
    before = objects((folder / "app.yaml").read_text())
    after = kustomize(folder)
    return before, after


def test_the_sidecar_is_native_and_has_no_probe(applications):
    _, after = applications
    pod = after["Deployment", "shop"]["spec"]["template"]["spec"]
    (sidecar,) = [it for it in pod["initContainers"] if it["name"] == "clumio-exporter"]
    assert sidecar["restartPolicy"] == "Always"
    assert not [key for key in sidecar if key.endswith("Probe")]
    assert sidecar["securityContext"]["runAsUser"] == 65532
    assert restricted(sidecar["securityContext"])
    secret = next(it["secret"] for it in pod["volumes"] if "secret" in it)
    assert secret["optional"] is True, "an application must start without a token of Clumio"


def test_the_sidecar_changes_nothing_of_the_application(applications):
    before, after = applications
    ours = {"clumio-exporter", "clumio-exporter-config", "clumio-exporter-token", "clumio-exporter-state"}
    deployment = after["Deployment", "shop"]
    pod = deployment["spec"]["template"]["spec"]
    for key in ("initContainers", "volumes"):
        pod[key] = [it for it in pod[key] if it["name"] not in ours]
    del deployment["metadata"]["namespace"]
    assert deployment == before["Deployment", "shop"]
    worker = after["Deployment", "shop-worker"]
    del worker["metadata"]["namespace"]
    assert worker == before["Deployment", "shop-worker"], "it opted out by its label"


def test_the_sidecar_goes_beside_a_deployment_of_any_name(tmp_path):
    app = yaml.safe_load_all((FOLDER / "examples" / "sidecar" / "app.yaml").read_text())
    deployment = next(app)
    deployment["metadata"]["name"] = "another-name"
    del deployment["spec"]["template"]["spec"]["initContainers"], deployment["spec"]["template"]["spec"]["volumes"]
    del deployment["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    # Outside of the repository, where a kustomization may name only what is below or beside it by a relative path.
    copy = tmp_path / "kustomize"
    run("cp", "--recursive", FOLDER, copy)
    overlay = copy / "overlay"
    overlay.mkdir()
    (overlay / "app.yaml").write_text(yaml.safe_dump(deployment))
    (overlay / "clumio-exporter.toml").write_text("")
    generator = [{"name": "clumio-exporter", "files": ["clumio-exporter.toml"]}]
    kustomization = {"resources": ["app.yaml"], "components": ["../sidecar"], "configMapGenerator": generator}
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    found = kustomize(overlay)
    validate(found)
    names = [it["name"] for it in pod_template(found)["initContainers"]]
    assert names == ["clumio-exporter"]
