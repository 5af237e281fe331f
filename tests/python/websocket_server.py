"""Echoes what it hears; prints its port. "close CODE REASON" makes it close so."""

import threading

from websockets.sync.server import serve


def echo(connection):
    for message in connection:
        if isinstance(message, str) and message.startswith("close "):
            _, code, reason = message.split(" ", 2)
            connection.close(int(code), reason)
            return
        if message == "who":
            message = connection.request.headers.get("X-Forwarded-For", "nobody")
        connection.send(message)


with serve(echo, "127.0.0.1", 0, subprotocols=["chat"], max_size=None) as server:
    print(server.socket.getsockname()[1], flush=True)
    # The main thread would not notice its end otherwise.
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    thread.join()
