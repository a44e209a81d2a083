"""Which AWS and which stack a verb is for."""

from pathlib import Path

import pytest

from console import embedded_aws
from console.embedded_aws import EmbeddedAws
from console.errors import ServerDownError, StackNotFoundError
from console.find import target as target_module
from console.find.sam_config import SamConfig
from console.find.stack import LOCAL_STACK
from console.find.target import Target
from millrace.errors import InvalidRunRequest

CONFIG = """
version = 0.1
[default.global.parameters]
stack_name = "words"
region = "eu-west-1"
[default.deploy.parameters]
region = "eu-north-1"
[prod.global.parameters]
stack_name = "words-prod"
profile = "prod"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a samconfig.toml."""
    (tmp_path / "samconfig.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_samconfig_is_read_as_sam_reads_it() -> None:
    """The command's own section goes before the global one; what an environment leaves out is left out."""
    assert SamConfig.read(None) == SamConfig("words", "eu-north-1")
    assert SamConfig.read("prod") == SamConfig("words-prod", profile="prod")


def test_an_unknown_environment_names_the_known_ones(folder: Path) -> None:
    """A slip in --config-env is told with what there is; a broken file is told with where it is."""
    with pytest.raises(InvalidRunRequest, match="default or prod"):
        SamConfig.read("prd")
    (folder / "samconfig.toml").write_text("[")
    with pytest.raises(InvalidRunRequest, match=r"samconfig\.toml"):
        SamConfig.read(None)


def test_without_a_file_the_checkouts_own_counts(tmp_path: Path) -> None:
    """Elsewhere the stack is the one that this checkout would deploy."""
    assert SamConfig.read(None, tmp_path).stack_name == "millrace"


@pytest.mark.usefixtures("folder")
def test_flags_go_before_samconfig() -> None:
    """Each flag replaces one value of the file, and stands in the command lines to paste."""
    plain = Target.choose(environ={})
    assert (plain.stack_name, plain.aws.region, plain.aws.profile, plain.is_local) == (
        "words",
        "eu-north-1",
        None,
        False,
    )
    assert plain.command("status", "a run") == "millrace status 'a run'"
    named = Target.choose(stack="mine", profile="p", environ={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert (named.stack_name, named.aws.region, named.aws.profile, named.is_local) == ("mine", "eu-north-1", "p", False)
    assert named.command("status", "r") == "millrace status r --profile=p --stack=mine"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("url", "local"),
    [("http://127.0.0.1:4599", True), ("http://localhost:1", True), ("https://example.com", False), ("", False)],
)
def test_an_endpoint_on_this_machine_is_the_embedded_aws(url: str, *, local: bool) -> None:
    """AWS_ENDPOINT_URL means the embedded AWS only where it names this machine, and no flag names AWS."""
    chosen = Target.choose(environ={"AWS_ENDPOINT_URL": url})
    assert chosen.is_local == local
    assert chosen.stack_name == (LOCAL_STACK if local else "words")


def test_local_needs_a_running_server(tmp_path: Path) -> None:
    """--local never falls back to AWS."""
    with pytest.raises(ServerDownError, match="millrace local deploy"):
        Target.choose(local=True, state_dir=tmp_path, environ={})


@pytest.mark.usefixtures("folder")
def test_a_local_verb_means_the_embedded_aws_unless_a_flag_names_aws(tmp_path: Path) -> None:
    """Its own rule comes last: an endpoint of this machine, and flags that name AWS, go before it."""
    with pytest.raises(ServerDownError):
        Target.choose(usually_local=True, state_dir=tmp_path, environ={})
    assert Target.choose(usually_local=True, environ={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}).aws.endpoint_url
    chosen = Target.choose(usually_local=True, config_env="default", environ={})
    assert (chosen.is_local, chosen.stack_name) == (False, "words")


def test_a_missing_stack_says_that_the_embedded_aws_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who forgot --local is told so."""

    def missing(*_given: object) -> None:
        raise StackNotFoundError("there is no such stack", operation="find the stack", target="words")

    monkeypatch.setattr(target_module.Stack, "find", missing)
    monkeypatch.setattr(target_module, "_own_server", lambda: EmbeddedAws("http://127.0.0.1:1", 1, 1, "log"))
    with pytest.raises(StackNotFoundError, match="--local means that one"):
        _ = Target.choose(stack="words", environ={}).stack


def test_the_credentials_of_an_embedded_aws_are_those_that_were_exported() -> None:
    """What `$(millrace local up)` exported counts for that address alone; without it the error says what to run."""
    url = "http://127.0.0.1:1"
    exported = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert embedded_aws.credentials(url, exported) == embedded_aws.Credentials("key", "secret")
    assert "secret" not in repr(embedded_aws.credentials(url, exported))
    for environ in ({}, exported | {"AWS_ENDPOINT_URL": "http://127.0.0.1:2"}, exported | {"AWS_ACCESS_KEY_ID": ""}):
        with pytest.raises(embedded_aws.CredentialsUnknownError, match="millrace local up"):
            embedded_aws.credentials(url, environ)
