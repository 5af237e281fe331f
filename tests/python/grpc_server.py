"""A gRPC server without generated code: messages are bytes. `NAME`; prints its port."""

import sys
import time
from concurrent import futures

import grpc

NAME = sys.argv[1].encode()
cancelled = 0


def echo(request, context):
    context.send_initial_metadata((("server", NAME.decode()),))
    context.set_trailing_metadata((("echoed-bytes", str(len(request))), ("digest-bin", b"\x00\xff\x10")))
    return request


def who(request, context):
    return NAME


def count(request, context):
    """As many answers as asked for."""
    for number in range(int(request)):
        yield str(number).encode()


def total(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def talk(requests, context):
    """Each answer before the next request: a proxy that gathers either side would hang."""
    for request in requests:
        yield NAME + b":" + request
    context.set_trailing_metadata((("said", "all"),))


def fail(request, context):
    context.set_trailing_metadata((("why", "because"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 50% \u2014 später")


def hang(request, context):
    """Answers once, then never; counts itself when the client has left."""

    def gone():
        global cancelled
        cancelled += 1

    context.add_callback(gone)
    yield b"begun"
    while context.is_active():
        time.sleep(0.01)


def hangs_ended(request, context):
    return str(cancelled).encode()


def health(request, context):
    """`grpc.health.v1.Health/Check` by hand: field 1 of the request is the service, field 1 of the answer its status."""
    status = {b"": 1, b"\n\x08test.Ill": 2}.get(request)
    if status is None:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return bytes((8, status))


HANDLERS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Who": grpc.unary_unary_rpc_method_handler(who),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Hang": grpc.unary_stream_rpc_method_handler(hang),
    "HangsEnded": grpc.unary_unary_rpc_method_handler(hangs_ended),
}

server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", HANDLERS),))
check = grpc.unary_unary_rpc_method_handler(health)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
