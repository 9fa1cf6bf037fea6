"""What clusters differ in: operators and their versions, OpenShift, a chart packaged empty."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import helm_python
import pytest
from helm_python.errors import HelmError

from tests.helm.test_schemas import ALL_MONITORING
from tests.support.chart import CHART, NEEDED, merged, pods, render, values_file
from tests.support.crds import crd

OPERATOR_KINDS = {"PodMonitor", "ServiceMonitor", "PrometheusRule"}

TOKEN_SECRET = {"ray": {"tokenSecretName": "token"}}


def _kinds(*layers: dict[str, Any]) -> set[str]:
    return {kind for kind, _ in render(*layers)}


def test_without_the_prometheus_operator_its_kinds_are_left_out() -> None:
    for name in ("values-gpu.yaml", "values-gpu-multinode.yaml"):
        assert not _kinds(values_file(name)) & OPERATOR_KINDS
    assert _kinds(ALL_MONITORING) >= OPERATOR_KINDS


def test_openshift_gives_users_itself() -> None:
    objects = render({"platform": "openshift"})
    specs = [pod["spec"] for pod in pods(objects).values()]
    specs.append(objects["StatefulSet", "town-scalesim-redis"]["spec"]["template"]["spec"])
    specs.append(objects["Pod", "town-scalesim-test"]["spec"])
    for spec in specs:
        assert set(spec["securityContext"]) == {"runAsNonRoot", "seccompProfile"}
    assert pods(render())["head"]["spec"]["securityContext"]["runAsUser"] == 1000


def test_users_without_a_home_have_one() -> None:
    """That of the image is another user's; in it SGLang, torch and numba keep what they compile."""
    job = {"enabled": True, "outClaim": "out"}
    objects = render({"platform": "openshift", "job": job})
    cluster = objects["RayJob", "town-scalesim-job"]["spec"]["rayClusterSpec"]
    of_job = (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])
    for pod in (*pods(objects).values(), *(group["template"] for group in of_job)):
        (container,) = pod["spec"]["containers"]
        assert {"name": "HOME", "value": "/tmp"} in container["env"]


def test_the_autoscaler_is_bound_as_the_other_containers_are() -> None:
    cluster = render({"autoscaling": {"enabled": True}})["RayService", "town-scalesim"]["spec"]
    options = cluster["rayClusterConfig"]["autoscalerOptions"]
    assert options["version"] == "v2"
    assert options["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert options["securityContext"]["allowPrivilegeEscalation"] is False


def test_a_job_alone_needs_no_key_no_redis_and_no_model() -> None:
    objects = render(
        {
            "serve": {"enabled": False},
            "job": {"enabled": True, "outClaim": "out"},
            "apiKey": {"secretName": ""},
            "redis": {"password": {"secretName": ""}},
            "stack": {"engine": {"model_path": ""}},
            "volumes": {"models": {"existingClaim": ""}},
        },
        ALL_MONITORING,
    )
    kinds = {kind for kind, _ in objects}
    assert "RayJob" in kinds
    assert not kinds & {"RayService", "StatefulSet", "PodDisruptionBudget", "ServiceMonitor"}
    job = objects["RayJob", "town-scalesim-job"]["spec"]["rayClusterSpec"]["headGroupSpec"]
    names = {each["name"] for each in job["template"]["spec"]["containers"][0]["env"]}
    assert "SCALESIM_CATALOG_PASSWORD" not in names


def _with(folder: Path, files: dict[str, str], *layers: dict[str, Any]) -> dict[str, str]:
    """Render a copy of the chart with further files."""
    chart = folder / "scalesim"
    shutil.copytree(CHART, chart)
    for path, text in files.items():
        (chart / path).write_text(text)
    with helm_python.Chart.load(str(chart)) as loaded:
        return dict(loaded.render(merged(NEEDED, *layers), name="town", namespace="sim"))


def _asked(folder: Path, found: dict[str, Any], *layers: dict[str, Any]) -> None:
    """Have the chart look at a cluster's CRD of RayCluster."""
    look = '{{- include "scalesim.checkOperator" (list . (.Files.Get "crd.json" | fromJson)) }}'
    _with(folder, {"crd.json": json.dumps(found), "templates/look.yaml": look}, *layers)


def _without(found: dict[str, Any], *path: str) -> dict[str, Any]:
    changed = copy.deepcopy(found)
    (version,) = (each for each in changed["spec"]["versions"] if each["name"] == "v1")
    at = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    for name in path[:-1]:
        at = at[name]["properties"]
    del at[path[-1]]
    return changed


def test_a_kuberay_of_today_is_taken(tmp_path: Path) -> None:
    _asked(tmp_path, crd("RayCluster"), TOKEN_SECRET)


def test_a_kuberay_without_tokens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HelmError, match=r"needs KubeRay 1\.5\.1"):
        _asked(tmp_path, _without(crd("RayCluster"), "authOptions"))


def test_a_kuberay_that_makes_every_token_itself_is_refused_one(tmp_path: Path) -> None:
    older = _without(crd("RayCluster"), "authOptions", "secretName")
    with pytest.raises(HelmError, match=r"needs KubeRay 1\.6"):
        _asked(tmp_path / "a", older, TOKEN_SECRET)
    _asked(tmp_path / "b", older)


@pytest.mark.parametrize("kind", ["RayService", "RayCluster"])
def test_nothing_of_kuberays_has_a_scale_that_other_autoscalers_could_set(kind: str) -> None:
    """A HorizontalPodAutoscaler or KEDA needs one: the page says that it has nothing to scale."""
    assert all("scale" not in each["subresources"] for each in crd(kind)["spec"]["versions"])


def test_no_file_of_the_chart_is_a_link() -> None:
    assert [path for path in CHART.rglob("*") if path.is_symlink()] == []


@pytest.mark.parametrize("emptied", ["grafana/scalesim-memory.json", "prometheus/rules.yaml"])
def test_a_chart_that_lost_its_files_is_refused(tmp_path: Path, emptied: str) -> None:
    with pytest.raises(HelmError, match="package it again"):
        _with(tmp_path, {emptied: ""}, ALL_MONITORING)
