"""`python -m image build | push | codebuild`: what `make image`, `make push` and `millrace deploy` run."""

from __future__ import annotations

import argparse
import sys

from botocore.exceptions import BotoCoreError, ClientError

from image.build import BILL, BUILT, Recipe, build
from image.codebuild import build_in_account
from image.commands import ImageError
from image.publish import publish


def main() -> int:
    """Build the image, or push it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m image", description="The job image of Millrace.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    of_build = verbs.add_parser("build", help="build it, with its bill of materials in build/image/")
    of_build.add_argument("--tag", default="millrace", help="its name in the local engine")
    of_build.add_argument("--base", default="", help="another base image than the Dockerfile's")
    of_build.add_argument("--extras", default="", help="optional packages: images")
    of_build.add_argument("--platform", default="", help="linux/amd64 or linux/arm64")
    of_build.add_argument("--source", default="", help="where the sources are, for the image's label")
    of_build.add_argument("--network", default="", help="the network of the build's commands")
    of_push = verbs.add_parser("push", help="push what was built, and write its digest into build/image/uri")
    of_push.add_argument("--image", default="", help="another image of the local engine than the last one built")
    of_push.add_argument("--stack", required=True, help="the stack of its repository; made if it is not there")
    of_codebuild = verbs.add_parser("codebuild", help="build and push it in the account, where there is no Docker")
    of_codebuild.add_argument("--extras", default="", help="optional packages: images")
    of_codebuild.add_argument("--stack", required=True, help="the stack of its repository; made if it is not there")
    given = parser.parse_args()
    try:
        if given.verb == "build":
            recipe = Recipe(
                base=given.base,
                extras=given.extras.split(),
                platform=given.platform,
                source=given.source,
                network=given.network,
            )
            print(f"{given.tag} is {build(recipe, given.tag)}, its bill of materials is {BILL}")  # noqa: T201
        else:
            uri = (
                build_in_account(given.stack, given.extras.split(), print)
                if given.verb == "codebuild"
                else publish(given.image or (BUILT / "id").read_text().strip(), given.stack)
            )
            BUILT.mkdir(parents=True, exist_ok=True)
            (BUILT / "uri").write_text(f"{uri}\n")
            print(uri)  # noqa: T201
    except FileNotFoundError as error:
        sys.stderr.write(f"image: {error.filename} is not there; make image\n")
        return 2
    except (ImageError, ClientError, BotoCoreError) as error:
        sys.stderr.write(f"image: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
