"""`millrace deploy`."""

from __future__ import annotations

import click

from console.checkout import Checkout
from console.deploy.former_parameters import check_parameters
from console.deploy.job_image import make_image
from console.deploy.parameters import parameters_of
from console.deploy.stack_deployment import Deployment, deploy_stack
from console.find.aws import Aws
from console.find.sam_config import SamConfig
from console.terminal import Terminal
from console.verbs import debug_option


@click.command(short_help="Deploy the stack on AWS.")
@click.option("--stack", metavar="NAME", help="The stack. [default: samconfig.toml's, else millrace]")
@click.option(
    "--image", metavar="URI", help="A job image in ECR, by its digest. [default: one that is built and pushed now]"
)
@click.option(
    "--images-stack", default="millrace-images", show_default=True, help="The stack of the image's repository."
)
@click.option(
    "--extra",
    "extras",
    multiple=True,
    type=click.Choice(["images", "parquet", "quantiles"]),
    help="Optional packages of a new image. [several times]",
)
@click.option(
    "--parameter",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the template; the stack keeps the others. [several times]",
)
@click.option("--yes", is_flag=True, help="Make the changes without asking.")
@click.option("--profile", metavar="NAME", help="The profile of your AWS configuration.")
@click.option("--region", metavar="REGION", help="The stack's region.")
@debug_option
def deploy(
    *,
    stack: str | None,
    image: str | None,
    images_stack: str,
    extras: tuple[str, ...],
    given: tuple[str, ...],
    profile: str | None,
    region: str | None,
    yes: bool,
) -> None:
    """Deploy the stack on AWS: the job image, then sam build and sam deploy.

    The image is built by Docker where an engine answers here, else by CodeBuild in the account, and pushed to a
    repository of the account. An image that is there already is not built again.

    \b
    Examples:
      millrace deploy --region eu-west-1
      millrace deploy --stack nightly --parameter MaxvCpus=32 --parameter SourceBucketNames=my-letters
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    terminal, checkout, config = Terminal(), Checkout.here(), SamConfig.read(None)
    deployment = Deployment(
        stack=stack or config.stack_name,
        parameters=parameters_of(given, ours=("Image",)),
        region=region or config.region,
        profile=profile or config.profile,
        confirmed=yes,
    )
    check_parameters(deployment.parameters, deployment.stack, Aws(region=deployment.region, profile=deployment.profile))

    def say(line: str) -> None:
        terminal.note(f"{line} ...")

    uri = image or make_image(checkout, images_stack, extras, deployment.environment(), say)
    deploy_stack(checkout, deployment, uri, say)
    terminal.note(f"The stack {deployment.stack} is deployed. Check it: millrace doctor --stack {deployment.stack}")
