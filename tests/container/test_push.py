"""What a push writes into the registry: layers that zstd packed, under a digest that names the same image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image.commands import answer
from image.publish import push_zstd
from tests.container.conftest import docker
from tests.container.registry import registry
from tests.container.test_image import inspected

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""RFC 8878, 3.1.1."""


def test_layers_are_pushed_as_zstd(image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OCI manifest with a zstd media type for every layer; the digest is the manifest's, and what is pulled by
    it has the image's layers and labels, and runs.
    """
    with registry() as pushed:
        settings = tmp_path / ".config/containers/registries.conf"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'[[registry]]\nlocation = "{pushed.name}"\ninsecure = true\n')
        monkeypatch.setenv("HOME", str(tmp_path))
        digest = push_zstd(image, f"{pushed.name}/millrace:1-abc")

        assert pushed.manifests["1-abc"] == pushed.manifests[digest]
        assert pushed.manifests[digest][0] == "application/vnd.oci.image.manifest.v1+json"
        manifest = pushed.manifest(digest)
        layers = manifest["layers"]
        assert {layer["mediaType"] for layer in layers} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
        assert all(pushed.blobs[layer["digest"]].startswith(ZSTD_MAGIC) for layer in layers)
        config = json.loads(pushed.blobs[manifest["config"]["digest"]])
        assert config["rootfs"]["diff_ids"] == inspected(image)["RootFS"]["Layers"]

        # An engine before Docker 23 cannot unpack zstd: skopeo does it for the one that this machine has.
        archive = tmp_path / "pulled.tar"
        pulled = [f"docker://{pushed.name}/millrace@{digest}", f"docker-archive:{archive}:millrace-pulled:1"]
        answer(["skopeo", "copy", *pulled])
        docker("load", "--quiet", "--input", str(archive))
        assert inspected("millrace-pulled:1")["RootFS"] == inspected(image)["RootFS"]
        assert inspected("millrace-pulled:1")["Config"]["Labels"] == inspected(image)["Config"]["Labels"]
        said = docker("run", "--rm", "--read-only", "--network=none", "millrace-pulled:1")
        assert "usage: python -m batch_jobs" in said
        docker("image", "rm", "millrace-pulled:1")
