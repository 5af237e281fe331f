"""A gRPC server of bytes: no generated code. Prints its port."""

import time
from concurrent import futures

import grpc


def shout(request, context):
    context.set_trailing_metadata((("x-length", str(len(request))), ("x-peer", context.peer().split(":")[0])))
    for key, value in context.invocation_metadata():
        if key == "x-fail":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, value)
    return request.upper()


def talk(requests, context):
    """One answer for each request, as it comes; the trailers tell how many."""
    count = 0
    for request in requests:
        count += 1
        yield request.upper()
    context.set_trailing_metadata((("x-count", str(count)),))


def count(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def total(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def endless(request, context):
    while context.is_active():
        yield b"tick"
        time.sleep(0.005)
    print("cancelled", flush=True)


handlers = {
    "Shout": grpc.unary_unary_rpc_method_handler(shout),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Endless": grpc.unary_stream_rpc_method_handler(endless),
}
server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", handlers),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
