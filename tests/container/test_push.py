"""What a push writes into the registry: layers that zstd packed, under a digest that names the same image."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from image.commands import answer
from image.publish import push_zstd
from tests.container.registry import registry
from tests.container.test_image import inspected

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""RFC 8878, 3.1.1."""


def test_layers_are_pushed_as_zstd(image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OCI manifest with a zstd media type for every layer; the digest is the manifest's, and what is pulled by it
    has the image's layers, byte by byte, its labels and its entry point.
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
        assert config["config"]["Labels"] == inspected(image)["Config"]["Labels"]
        assert config["config"]["Entrypoint"] == inspected(image)["Config"]["Entrypoint"]

        # An engine before Docker 23 cannot unpack zstd: skopeo does it in its place.
        pulled = [f"docker://{pushed.name}/millrace@{digest}", f"dir:{tmp_path}/pulled"]
        answer(["skopeo", "copy", "--dest-decompress", *pulled])
        unpacked = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (tmp_path / "pulled").iterdir()]
        assert {each.removeprefix("sha256:") for each in config["rootfs"]["diff_ids"]} <= set(unpacked)
