"""A server for client_demo.py: python server_demo.py [PORT] [FOLDER]."""

import sys

import uvicorn

from pp_server.indexedcp import IndexedCPServer

port = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
folder = sys.argv[2] if len(sys.argv) > 2 else "./demo_uploads"
server = IndexedCPServer(upload_dir=folder, port=port, api_keys=["demo-key"], path_mode="sanitize")

if __name__ == "__main__":
    print(server.get_server_info(), flush=True)
    uvicorn.run(server.create_app(), host="127.0.0.1", port=port, log_level="warning")
