"""One of several equal servers: `python app.py api 5001` or `python app.py images 5003`."""

import os
import sys

from flask import Flask, jsonify, request

kind, port = sys.argv[1], int(sys.argv[2])
app = Flask(__name__)


@app.route(f"/{kind}/", defaults={"path": ""}, methods=["GET", "POST", "PUT"])
@app.route(f"/{kind}/<path:path>", methods=["GET", "POST", "PUT"])
def answer(path):
    return jsonify(
        kind=kind,
        server=port,
        process=os.getpid(),
        path=path,
        forwarded_for=request.headers.get("X-Forwarded-For"),
        forwarded_proto=request.headers.get("X-Forwarded-Proto"),
        host=request.host,
        received=len(request.get_data()),
    )


@app.route("/healthz")
def healthz():
    return "ok\n"


if __name__ == "__main__":
    app.run("127.0.0.1", port, threaded=True)
