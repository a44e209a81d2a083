"""Your own workload: it counts lines. Run it with `--workload line_count:line_count`."""

from millrace import Item, ItemBody, Outputs, workload


@workload(outputs=[".lines"])
def line_count(item: Item, body: ItemBody, outputs: Outputs, *, end: str = "\n") -> dict[str, int]:
    """Count lines, as `wc -l` does; write each object's count to `{key}.lines`.

    Args:
        end: What ends a line, one character.
    """
    lines = sum(chunk.count(end.encode()) for chunk in body)
    with outputs.open(".lines", "text/plain") as file:
        file.write(b"%d\n" % lines)
    return {"lines": lines, "bytes": item.size}
