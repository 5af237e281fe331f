"""Calls every kind of method through the proxy at the address given, and says `ok`."""

import queue
import sys

import grpc

channel = grpc.insecure_channel(sys.argv[1])
LIMIT = 30

shout = channel.unary_unary("/test.Test/Shout")
answer, call = shout.with_call(b"hello", timeout=LIMIT)
assert answer == b"HELLO", answer
assert dict(call.trailing_metadata())["x-length"] == "5", call.trailing_metadata()
big = b"a" * 3_000_000
assert shout(big, timeout=LIMIT) == big.upper()
try:
    shout(b"hello", timeout=LIMIT, metadata=(("x-fail", "not today"),))
    raise AssertionError("no failure")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "not today", error
try:
    channel.unary_unary("/test.Test/Nothing")(b"", timeout=LIMIT)
    raise AssertionError("no failure")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error

# Each word is sent only when the answer to the one before is here: both ways at the same time.
words = queue.Queue()
conversation = channel.stream_stream("/test.Test/Talk")(iter(words.get, None), timeout=LIMIT)
for word in [b"one", b"two", b"three"]:
    words.put(word)
    assert next(conversation) == word.upper()
words.put(None)
assert next(conversation, None) is None
assert dict(conversation.trailing_metadata())["x-count"] == "3"

numbers = channel.unary_stream("/test.Test/Count")(b"1000", timeout=LIMIT)
assert [int(number) for number in numbers] == list(range(1000))
assert channel.stream_unary("/test.Test/Total")((b"x" * 1000 for _ in range(1000)), timeout=LIMIT) == b"1000000"

ticks = channel.unary_stream("/test.Test/Endless")(b"", timeout=LIMIT)
assert next(ticks) == b"tick"
ticks.cancel()
print("ok")
