"""One process of the prototype: `python app.py NAME PORT`. Port 0 takes any free one."""

import os
import sys
import time

from flask import Flask, jsonify, request
from werkzeug.middleware.proxy_fix import ProxyFix

name, port = sys.argv[1], int(sys.argv[2])
app = Flask(name)


@app.get("/api/items/<int:item>")
def api_item(item):
    time.sleep(0.01)  # As a database would.
    return jsonify(item=item, **about())


@app.post("/api/items")
def new_item():
    return jsonify(created=request.get_json(), **about()), 201


@app.get("/images/<path:file>")
def image(file):
    response = jsonify(file=file, **about())
    response.headers["cache-control"] = "max-age=60"
    return response


@app.get("/healthz")
def healthz():
    return "ok"


def about():
    """Who answered, and whom it believes to have asked."""
    return {
        "name": name,
        "pid": os.getpid(),
        "client": request.remote_addr,
        "url": request.url,
        # Before ProxyFix, so as they came from Jackfield.
        "x_forwarded_for": request.headers.get("X-Forwarded-For"),
        "x_forwarded_proto": request.headers.get("X-Forwarded-Proto"),
    }


# Flask believes one proxy in front of it about the client's address, scheme and host.
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)

if __name__ == "__main__":
    app.run(host="127.0.0.1", port=port, threaded=True)
