//! Who may ask, and who asks: a request with a known `x-api-key` goes on as its consumer's, every other
//! is answered 401. Settings: `{"keys":{"KEY":"CONSUMER"}}`.
//! No bindings: functions and exports as the canonical ABI has them.

const std = @import("std");
const Text = extern struct {
    bytes: [*]const u8,
    len: usize,

    fn of(comptime text: []const u8) Text {
        return .{ .bytes = text.ptr, .len = text.len };
    }
};
const Header = extern struct { name: Text, value: Text };
const MaybeText = extern struct { is_some: bool, value: Text };
const Edited = extern struct { is_error: bool, why: u8 };
const Configured = extern struct { is_error: bool, is: extern union { phases: u8, why: Text } };

extern "jackfield:plugin/request@0.1.0" fn header(name: [*]const u8, len: usize, found: *MaybeText) void;
extern "jackfield:plugin/request-edit@0.1.0" fn @"remove-header"(name: [*]const u8, len: usize, edited: *Edited) void;
extern "jackfield:plugin/request-edit@0.1.0" fn @"set-header"(
    name: [*]const u8, len: usize, value: [*]const u8, value_len: usize, edited: *Edited,
) void;
extern "jackfield:plugin/request-edit@0.1.0" fn answer(
    status: u32, headers: [*]const Header, headers_len: usize, body: [*]const u8, body_len: usize, edited: *Edited,
) void;

const heap = std.heap.wasm_allocator;
var consumers: std.json.ObjectMap = .empty;
const request_phase = 1;

export fn @"jackfield:plugin/filtering@0.1.0#configure"(settings: [*]const u8, len: usize) *const Configured {
    const answers = struct {
        const yes: Configured = .{ .is_error = false, .is = .{ .phases = request_phase } };
        const no: Configured = .{ .is_error = true, .is = .{ .why = .of(why) } };
        const why = "api-key needs {\"keys\": {\"KEY\": \"CONSUMER\"}}";
    };
    consumers = parse(settings[0..len]) orelse return &answers.no;
    return &answers.yes;
}

fn parse(settings: []const u8) ?std.json.ObjectMap {
    const always: std.json.ParseOptions = .{ .allocate = .alloc_always };
    const all = std.json.parseFromSliceLeaky(std.json.Value, heap, settings, always) catch return null;
    if (all != .object or all.object.count() != 1) return null;
    const keys = all.object.get("keys") orelse return null;
    if (keys != .object or keys.object.count() == 0) return null;
    for (keys.object.values()) |consumer| if (consumer != .string) return null;
    return keys.object;
}

export fn @"jackfield:plugin/filtering@0.1.0#on-request"(_: u64, _: u64, _: u32, _: u32) void {
    defer _ = given.reset(.retain_capacity);
    var edited: Edited = undefined;
    @"remove-header"("x-consumer", 10, &edited); // it is ours to say
    check(edited);
    var key: MaybeText = undefined;
    header("x-api-key", 9, &key);
    const known = if (key.is_some) consumers.get(key.value.bytes[0..key.value.len]) else null;
    const consumer = (known orelse return answer401()).string;
    @"set-header"("x-consumer", 10, consumer.ptr, consumer.len, &edited);
    check(edited);
    @"remove-header"("x-api-key", 9, &edited);
    check(edited);
}

fn answer401() void {
    const headers = [_]Header{
        .{ .name = .of("www-authenticate"), .value = .of("ApiKey") },
        .{ .name = .of("content-type"), .value = .of("text/plain") },
    };
    const body = "a valid x-api-key is needed\n";
    var edited: Edited = undefined;
    answer(401, &headers, headers.len, body, body.len, &edited);
    check(edited);
}

/// An edit that is refused ends here: the request goes no further.
fn check(edited: Edited) void {
    if (edited.is_error) @panic("an edit was refused");
}

export fn @"jackfield:plugin/filtering@0.1.0#on-response"(_: u64, _: u64, _: u32, _: u32) void {}

/// What the host hands over lies here until the end of the call.
var given: std.heap.ArenaAllocator = .init(heap);
export fn cabi_realloc(_: ?[*]u8, _: usize, _: usize, size: usize) [*]u8 {
    // What is empty must have a place too.
    const bytes = given.allocator().alignedAlloc(u8, .@"8", @max(size, 1)) catch @panic("out of memory");
    return bytes.ptr;
}
