//! A request with the header `x-canary` goes to the endpoints that are labelled `canary`, every other
//! to the rest. Among them the wrapped balancer chooses (`then`), or without one they take turns.
//! No bindings: functions and exports as the canonical ABI has them.

const std = @import("std");
const Text = extern struct { bytes: [*]const u8, len: usize };
const Label = extern struct { name: Text, value: Text };
const Labels = extern struct { items: [*]const Label, len: usize };

extern "jackfield:plugin/delegate@0.1.0" fn @"pick-among"(endpoints: [*]const u32, len: usize) u32;
extern "jackfield:plugin/endpoints@0.1.0" fn eligible(endpoint: u32) bool;
extern "jackfield:plugin/request@0.1.0" fn @"header-hash"(name: [*]const u8, len: usize, found: *Hash) void;
const Hash = extern struct { is_some: bool, value: u64 };

const none = std.math.maxInt(u32);
const heap = std.heap.wasm_allocator;
var canaries: std.ArrayList(u32) = .empty;
var others: std.ArrayList(u32) = .empty;
var turn: usize = 0;

export fn @"jackfield:plugin/balancing@0.1.0#configure"(settings: [*]const u8, len: usize) *const Refusal {
    const refused = struct {
        const no: Refusal = .{ .is_error = false, .why = .{ .bytes = "", .len = 0 } };
        const yes: Refusal = .{ .is_error = true, .why = .{ .bytes = why.ptr, .len = why.len } };
        const why = "canary-by-header has no settings";
    };
    return if (std.mem.eql(u8, settings[0..len], "{}")) &refused.no else &refused.yes;
}
const Refusal = extern struct { is_error: bool, why: Text };

export fn @"jackfield:plugin/balancing@0.1.0#update"(
    _: u64, ids: [*]u64, n: usize, weights: [*]u32, _: usize, states: [*]u8, _: usize,
    addresses: [*]Text, _: usize, labels: [*]Labels, _: usize,
) void {
    _ = .{ ids, weights, states, addresses };
    canaries.clearRetainingCapacity();
    others.clearRetainingCapacity();
    for (labels[0..n], 0..) |of, position| {
        var group = &others;
        for (of.items[0..of.len]) |label| {
            if (std.mem.eql(u8, label.name.bytes[0..label.name.len], "canary")) group = &canaries;
        }
        group.append(heap, @intCast(position)) catch @panic("out of memory");
    }
    _ = given.reset(.retain_capacity);
}

export fn @"jackfield:plugin/balancing@0.1.0#pick"(_: u64, _: u32, _: u32, _: u32, _: u32) u32 {
    var canary: Hash = undefined;
    @"header-hash"("x-canary", 8, &canary);
    const chosen = choose(if (canary.is_some) canaries.items else others.items);
    return if (chosen != none) chosen else choose(if (canary.is_some) others.items else canaries.items);
}

fn choose(group: []const u32) u32 {
    const chosen = @"pick-among"(group.ptr, group.len);
    if (chosen != none) return chosen;
    turn +%= 1;
    for (0..group.len) |i| {
        const endpoint = group[(turn +% i) % group.len];
        if (eligible(endpoint)) return endpoint;
    }
    return none;
}

/// What the host hands over lies here until the end of the call.
var given: std.heap.ArenaAllocator = .init(heap);
export fn cabi_realloc(_: ?[*]u8, _: usize, _: usize, size: usize) [*]u8 {
    // What is empty must have a place too.
    const bytes = given.allocator().alignedAlloc(u8, .@"8", @max(size, 1)) catch @panic("out of memory");
    return bytes.ptr;
}
