"""What MkDocs does not do by itself (`hooks` in mkdocs.yml): the repository's top pages are pages of the site.

README.md is its home. A link from one page to another leads there; a link to a file that is no page, such as an
example, leads into the repository where `repo_url` names one, and is plain text where none is known. MkDocs itself
then finds every link that leads nowhere.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
TOP_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security-policy.md",
}
"""Pages outside of docs/, and what they are called in the site."""

_LINK = re.compile(r'(?P<image>!?)\[(?P<text>[^\]\[]*)\]\((?P<to>[^()\s]+)\)|src="(?P<source>[^"]+)"')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from the top of the repository.

    Args:
        files: The files of docs/.
        config: The site's configuration.
    """
    for name, page in TOP_PAGES.items():
        text = _with_links((ROOT / name).read_text("utf-8"), ROOT, page, config.repo_url)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - by name
    """Lead a page's links that go out of docs/ to where the site, or the repository, has what they name."""
    if page.file.generated_by:
        return markdown
    place = ROOT / "docs" / page.file.src_uri
    return _with_links(markdown, place.parent, page.file.src_uri, config.repo_url)


def _with_links(text: str, folder: Path, page: str, repository: str | None) -> str:
    def linked(found: re.Match[str]) -> str:
        to, _, place = (found["to"] or found["source"]).partition("#")
        if not to or re.match(r"[a-z]+:", to):
            return found[0]
        target = (folder / to).resolve()
        if not target.exists():
            raise PluginError(f"{page}: there is no {to}")
        name = target.relative_to(ROOT).as_posix()
        inside = TOP_PAGES.get(name) or (name.removeprefix("docs/") if _in_site(name) else None)
        if inside is None:
            return f"[{found['text']}]({repository}/blob/main/{name})" if repository else str(found["text"])
        there = posixpath.relpath(inside, posixpath.dirname(page) or ".") + (f"#{place}" if place else "")
        if found["source"]:
            return f'src="{there}"'
        return f"{found['image']}[{found['text']}]({there})"

    return _LINK.sub(linked, text)


def _in_site(name: str) -> bool:
    return name.startswith("docs/") and (ROOT / name).is_file() and not name.endswith(".py")
