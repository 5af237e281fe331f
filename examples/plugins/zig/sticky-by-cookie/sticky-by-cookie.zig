//! A client comes back to the endpoint that served it first, by a cookie that the settings name:
//! `{"cookie":"route"}`. The first choice is the wrapped balancer's (`then`), or without one they take turns.
//! No bindings: functions and exports as the canonical ABI has them.

const std = @import("std");
const Text = extern struct { bytes: [*]const u8, len: usize };
const MaybeText = extern struct { is_some: bool, value: Text };
const Edited = extern struct { is_error: bool, why: u8 };
const Refusal = extern struct { is_error: bool, why: Text };
const State = enum(u8) { healthy, unhealthy, draining };

extern "jackfield:plugin/delegate@0.1.0" fn pick() u32;
extern "jackfield:plugin/endpoints@0.1.0" fn eligible(endpoint: u32) bool;
extern "jackfield:plugin/endpoints@0.1.0" fn candidate(endpoint: u32) bool;
extern "jackfield:plugin/request@0.1.0" fn cookie(name: [*]const u8, len: usize, found: *MaybeText) void;
extern "jackfield:plugin/reply@0.1.0" fn @"append-header"(
    name: [*]const u8, name_len: usize, value: [*]const u8, value_len: usize, edited: *Edited,
) void;

const none = std.math.maxInt(u32);
const heap = std.heap.wasm_allocator;
var cookie_name: []const u8 = "";
var keys: []Key = &.{};
var states: []State = &.{};
var turn: u32 = 0;

/// What a cookie says of an endpoint: FNV-1a of its address, in eight digits.
const Key = [8]u8;
fn keyOf(address: Text) Key {
    var key: Key = undefined;
    _ = std.fmt.bufPrint(&key, "{x:0>8}", .{std.hash.Fnv1a_32.hash(address.bytes[0..address.len])}) catch unreachable;
    return key;
}

export fn @"jackfield:plugin/balancing@0.1.0#configure"(settings: [*]const u8, len: usize) *const Refusal {
    const refused = struct {
        const no: Refusal = .{ .is_error = false, .why = .{ .bytes = "", .len = 0 } };
        const yes: Refusal = .{ .is_error = true, .why = .{ .bytes = why.ptr, .len = why.len } };
        const why = "sticky-by-cookie needs {\"cookie\": \"NAME\"}";
    };
    cookie_name = parse(settings[0..len]) orelse return &refused.yes;
    return &refused.no;
}

fn parse(settings: []const u8) ?[]const u8 {
    const always: std.json.ParseOptions = .{ .allocate = .alloc_always };
    const all = std.json.parseFromSliceLeaky(std.json.Value, heap, settings, always) catch return null;
    if (all != .object or all.object.count() != 1) return null;
    const name = all.object.get("cookie") orelse return null;
    if (name != .string or name.string.len == 0) return null;
    for (name.string) |byte| if (!std.ascii.isAlphanumeric(byte) and byte != '_' and byte != '-') return null;
    return name.string;
}

export fn @"jackfield:plugin/balancing@0.1.0#update"(
    _: u64, _: [*]u64, n: usize, _: [*]u32, _: usize, are: [*]const State, _: usize,
    addresses: [*]const Text, _: usize, _: *const anyopaque, _: usize,
) void {
    keys = heap.realloc(keys, n) catch @panic("out of memory");
    states = heap.realloc(states, n) catch @panic("out of memory");
    @memcpy(states, are[0..n]);
    for (keys, addresses[0..n]) |*key, address| key.* = keyOf(address);
    _ = given.reset(.retain_capacity);
}

export fn @"jackfield:plugin/balancing@0.1.0#pick"(_: u64, _: u32, _: u32, _: u32, _: u32) u32 {
    if (kept()) |endpoint| return endpoint;
    const chosen = first();
    if (chosen != none) leaveCookie(chosen);
    return chosen;
}

/// The endpoint that the cookie names, if it may still have it: a draining one may, to finish the session.
fn kept() ?u32 {
    defer _ = given.reset(.retain_capacity);
    var found: MaybeText = undefined;
    cookie(cookie_name.ptr, cookie_name.len, &found);
    if (!found.is_some) return null;
    for (keys, states, 0..) |*key, state, i| {
        const endpoint: u32 = @intCast(i);
        if (std.mem.eql(u8, key, found.value.bytes[0..found.value.len]))
            return if (state != .unhealthy and candidate(endpoint)) endpoint else null;
    }
    return null;
}

fn first() u32 {
    const chosen = pick();
    if (chosen != none) return chosen;
    for (0..keys.len) |i| {
        const endpoint: u32 = @intCast((turn + i) % keys.len);
        if (!eligible(endpoint)) continue;
        turn = endpoint + 1;
        return endpoint;
    }
    return none;
}

fn leaveCookie(endpoint: u32) void {
    const parts = .{ cookie_name, keys[endpoint] };
    const value = std.fmt.allocPrint(heap, "{s}={s}; Path=/; HttpOnly; SameSite=Lax", parts) catch @panic("out of memory");
    defer heap.free(value);
    var edited: Edited = undefined; // At L4 there is no response to leave it in.
    @"append-header"("set-cookie", 10, value.ptr, value.len, &edited);
}

/// What the host hands over lies here until the end of the call.
var given: std.heap.ArenaAllocator = .init(heap);
export fn cabi_realloc(_: ?[*]u8, _: usize, _: usize, size: usize) [*]u8 {
    // What is empty must have a place too.
    const bytes = given.allocator().alignedAlloc(u8, .@"8", @max(size, 1)) catch @panic("out of memory");
    return bytes.ptr;
}
