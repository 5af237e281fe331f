"""A gRPC client without generated code: `TARGET CA CASE`, where CA may be empty. Prints what it found as JSON."""

import json
import queue
import sys
import time

import grpc

TARGET, CA, CASE = sys.argv[1:4]
# Long enough for a busy machine.
DEADLINE = 30


def connect():
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
    if not CA:
        return grpc.insecure_channel(TARGET, options)
    with open(CA, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return grpc.secure_channel(TARGET, credentials, options)


channel = connect()


def unary():
    call = channel.unary_unary("/test.Test/Echo")
    large = bytes(range(256)) * 12_000
    answer, info = call.with_call(large, timeout=DEADLINE, metadata=(("asked", "so"),))
    trailers = dict(info.trailing_metadata())
    return {
        "same": answer == large,
        "empty": call(b"", timeout=DEADLINE) == b"",
        "code": info.code().name,
        "initial": dict(info.initial_metadata()).get("server"),
        "echoed": trailers.get("echoed-bytes"),
        "binary": list(trailers.get("digest-bin", b"")),
    }


def who():
    """Which server answers each of a hundred calls on one connection."""
    call = channel.unary_unary("/test.Test/Who")
    return [call(b"", timeout=DEADLINE).decode() for _ in range(100)]


def server_streaming():
    call = channel.unary_stream("/test.Test/Count")
    numbers = [int(message) for message in call(b"1000", timeout=DEADLINE)]
    return {"in_order": numbers == list(range(1000)), "none": list(call(b"0", timeout=DEADLINE))}


def client_streaming():
    call = channel.stream_unary("/test.Test/Total")
    return int(call((b"x" * 10_000 for _ in range(500)), timeout=DEADLINE))


def both_ways():
    """Says the next thing only when the answer to the last has come."""
    say = queue.Queue()
    answers = channel.stream_stream("/test.Test/Talk")(iter(say.get, None), timeout=DEADLINE)
    heard = []
    for number in range(50):
        say.put(str(number).encode())
        heard.append(next(answers).decode().split(":")[1])
    say.put(None)
    rest = list(answers)
    return {
        "in_turn": heard == [str(number) for number in range(50)],
        "rest": len(rest),
        "said": dict(answers.trailing_metadata()).get("said"),
        "code": answers.code().name,
    }


def status():
    """An answer that is nothing but trailers."""
    try:
        channel.unary_unary("/test.Test/Fail")(b"", timeout=DEADLINE)
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata())
        found = {"code": error.code().name, "details": error.details(), "why": trailers.get("why")}
    try:
        channel.unary_unary("/test.Test/NoSuch")(b"", timeout=DEADLINE)
    except grpc.RpcError as error:
        found["unknown"] = error.code().name
    return found


def deadline():
    answers = channel.unary_stream("/test.Test/Hang")(b"", timeout=4)
    first = next(answers)
    try:
        next(answers)
    except grpc.RpcError as error:
        return {"first": first.decode(), "code": error.code().name, "left": hangs_ended()}


def cancel():
    answers = channel.unary_stream("/test.Test/Hang")(b"", timeout=DEADLINE)
    first = next(answers)
    answers.cancel()
    return {"first": first.decode(), "code": answers.code().name, "left": hangs_ended()}


def hangs_ended():
    """Whether the server hears that its client has left."""
    call = channel.unary_unary("/test.Test/HangsEnded")
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        if int(call(b"", timeout=DEADLINE)) == 1:
            return True
        time.sleep(0.01)
    return False


print(json.dumps(globals()[CASE]()))
