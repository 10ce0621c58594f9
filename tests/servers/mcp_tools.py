"""An MCP server with two tools, over stdio; with an argument over HTTP on a free port."""

from __future__ import annotations

import os
import sys

from mcp.server import MCPServer

server = MCPServer("shelf")


@server.tool()
def find(title: str) -> str:
    """Find a book on the shelf."""
    return f"{title} stands on the second shelf."


@server.tool()
def burn(title: str) -> str:
    """Burn the shelf down, and the server with it."""
    os._exit(1)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=0)
    else:
        server.run("stdio")
