"""What `sam build` is told: nothing of the layer may come from its cache."""

from __future__ import annotations

import tomllib

from console.checkout import ROOT


def test_no_build_is_cached() -> None:
    """Sam's cache sees changes in layer/ alone, and the layer holds a digest of all of batch_jobs/: a layer from the
    cache would name other code than the image's in every small run's plan, and each of them would be refused.
    """
    config = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
    builds = {name: each["build"]["parameters"] for name, each in config.items() if isinstance(each, dict)}
    assert set(builds) >= {"default", "local", "prod"}
    assert not any(parameters.get("cached") for parameters in builds.values())
