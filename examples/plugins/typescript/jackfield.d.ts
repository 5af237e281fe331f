// The contract, as componentize-qjs gives it to a script. Made of wit/jackfield.wit: do not edit.

declare module "jackfield:plugin/types@0.1.0" {
  /** What the client speaks to the proxy. */
  export type Protocol =
    | "tcp"
    | "udp"
    | "http1"
    | "http2";
  /**
   * The address of the client's end of the connection (never one from a header), as a
   * 128-bit IPv6 address in two halves; an IPv4 address is mapped (`::ffff:a.b.c.d`).
   */
  export interface Address {
    high: number;
    low: number;
  }
}

declare module "jackfield:plugin/balancing@0.1.0" {
  import type { Protocol } from "jackfield:plugin/types@0.1.0";
  /** Whether an endpoint may be given work. */
  export type EndpointState =
    /** Takes new work. */
    | "healthy"
    /** Its health checks fail. */
    | "unhealthy"
    /**
     * Finishes what it has; should get nothing new. A balancer that keeps sessions may
     * still send an existing session here.
     */
    | "draining";
  /**
   * All endpoints of the upstream, in columns of the same length `n`. Position `i` in every
   * column is the endpoint that `pick` and the host functions call `i`, until the next `update`.
   */
  export interface EndpointSet {
    /** Grows by at least one with each update. */
    generation: number;
    /**
     * An endpoint's id is made from its address: it stays the same across updates, restarts
     * and proxies, whatever its position. Hash these, not positions.
     */
    ids: Array<number>;
    /** Between 1 and 65_535. */
    weights: Array<number>;
    states: Array<EndpointState>;
    /** As written in the configuration, `127.0.0.1:5001`. */
    addresses: Array<string>;
    /** The labels of each endpoint, as written in the configuration. */
    labels: Array<Array<[string, string]>>;
  }
  /**
   * One decision to make. Everything that every algorithm would ask for, in plain numbers;
   * ask for the rest with the functions of `endpoints` and `request`.
   */
  export interface PickContext {
    /** A hash of the client's IP address (without port), the same on every proxy and across restarts. */
    client: number;
    /** 0 for the first try; one more for each endpoint that was tried in vain for this request. */
    attempt: number;
    /** `n`: how many endpoints there are. */
    endpoints: number;
    /**
     * How many of them are eligible: healthy, not tried yet for this request and, where
     * another balancer narrowed the choice, among the candidates. When this equals
     * `endpoints` there is nothing to ask.
     */
    eligible: number;
    protocol: Protocol;
  }
  /** Exported by a balancer: who gets this request, connection or datagram session? */
  export interface Balancing {
    /**
     * The settings of this use as a JSON object (`{}` when there are none). An error is shown to
     * the operator as a configuration error; say what would be right.
     * Throws: string.
     */
    configure(settings: string): void;
    /**
     * The endpoints, before the first `pick` and again whenever membership, a weight, a state or
     * a label changed.
     */
    update(endpoints: EndpointSet): void;
    /**
     * The chosen endpoint, below `n`; or `0xffff_ffff`: none, and the client is told 503.
     * An endpoint that is not eligible may be chosen (a sticky session to a draining endpoint),
     * but not one that was tried already or that is outside the candidates. Every other answer
     * is a failure of the plugin.
     */
    pick(context: PickContext): number;
  }
}

declare module "jackfield:plugin/endpoints@0.1.0" {
  /** The measures that `column` has. */
  export type Measure =
    | "active"
    | "weight"
    | "latency"
    | "error-rate"
    | "cpu"
    | "memory"
    | "eligible";
  /** What is known of the endpoints right now. An index that is not below `n` answers 0, or none. */
  const endpoints: {
    /** Requests (connections, sessions) in flight from this proxy, all workers together. */
    active(endpoint: number): number;
    weight(endpoint: number): number;
    /**
     * Time to the response head (L7) or to connect (L4) in microseconds, as a peak-sensitive
     * exponentially weighted moving average that decays with time (peak EWMA, as in Finagle);
     * 0 while never measured.
     */
    latency(endpoint: number): number;
    /** Moving share of failed requests in ten-thousandths. */
    errorRate(endpoint: number): number;
    /** CPU use as the endpoint itself reported it, in ten-thousandths; none without a fresh report. */
    cpu(endpoint: number): number;
    /** Memory use, likewise. */
    memory(endpoint: number): number;
    /** Healthy, not draining, not tried yet, and among the candidates. */
    eligible(endpoint: number): boolean;
    /** Tried in vain for this request. */
    tried(endpoint: number): boolean;
    /** Among the candidates and not tried yet: `pick` may answer it on purpose, whatever its state. */
    candidate(endpoint: number): boolean;
    /**
     * One measure of all endpoints at once (`eligible`: 1 or 0): one call and one copy, cheaper
     * than asking for each from about four endpoints on.
     */
    column(of: Measure): Array<number>;
  };
  export default endpoints;
}

declare module "jackfield:plugin/request@0.1.0" {
  import type { Address } from "jackfield:plugin/types@0.1.0";
  /**
   * What is being balanced or filtered. At L4, and wherever the thing is not there, the answer is none.
   * A text getter answers none for what is not UTF-8.
   */
  const request: {
    /** IP address of the client's end of the connection, as text, without port. */
    clientAddress(): string;
    clientIp(): Address;
    clientPort(): number;
    /** Whether the client speaks TLS to the proxy. */
    isTls(): boolean;
    /** The server name of the client's TLS handshake, lower case. */
    sni(): string | null;
    /** An id of 32 hexadecimal digits, made when first asked for, the same for all plugins. */
    id(): string;
    method(): string | null;
    /** Lower case, without port. */
    host(): string | null;
    /** Without query. */
    path(): string | null;
    pathHash(): number | null;
    /** Without `?`. */
    query(): string | null;
    /** The first value of a header of the request. */
    header(name: string): string | null;
    headerBytes(name: string): Uint8Array | null;
    /** A hash of the first value: spares the copy. */
    headerHash(name: string): number | null;
    /** All values of a header, in the order in which they came. */
    headerValues(name: string): Array<Uint8Array>;
    cookie(name: string): string | null;
    cookieHash(name: string): number | null;
    /** What an earlier plugin noted about this request. */
    note(key: string): string | null;
  };
  export default request;
}

declare module "jackfield:plugin/edits@0.1.0" {
  export type EditError =
    /** Not a header name, method, path, host or status. */
    | "malformed"
    /**
     * Framing and connection headers (content-length, transfer-encoding, connection,
     * keep-alive, te, trailer, upgrade, proxy-connection; `host` has `set-host`).
     */
    | "forbidden"
    /** No upstream, or no header, of this name. */
    | "unknown"
    /** More than the host keeps (notes, added headers). */
    | "too-many";
}

declare module "jackfield:plugin/prepared-edits@0.1.0" {
  import type { EditError } from "jackfield:plugin/edits@0.1.0";
  /** What an edit puts into its header. None when the request has no such thing. */
  export type Value =
    | { tag: "text", val: string }
    /** As `request.client-address`. */
    | { tag: "client-address" }
    /** `https` when the client speaks TLS to the proxy, otherwise `http`. */
    | { tag: "scheme" }
    /** The host that the client asked for, as it wrote it, with the port. */
    | { tag: "host" }
    /** As `request.id`. */
    | { tag: "request-id" }
    /** The first value of this header of the request, whatever its bytes. */
    | { tag: "header", val: string };
  export type Action =
    /**
     * Replaces all values. When there is no value, or no room for it, the header is removed:
     * what stands there afterwards is never what came.
     */
    | { tag: "set", val: Value }
    /** Sets where there is no such header yet. */
    | { tag: "set-if-absent", val: Value }
    /** Adds a line. */
    | { tag: "append", val: Value }
    /**
     * Adds to a comma-separated list: `a, b` becomes `a, b, value`, several lines become one.
     * When there is no value, or no room for it, the header is removed.
     */
    | { tag: "join", val: Value }
    | { tag: "remove" };
  export interface Edit {
    name: string;
    action: Action;
  }
  /**
   * Edits of headers that are written down once and made with one call for each message: the plugin
   * decides which list applies, and no name and no value crosses the boundary again. Several times
   * cheaper than a call and two strings for each header.
   */
  const preparedEdits: {
    /**
     * Checks a list of edits and keeps it as long as this instance lives: best done in `configure`.
     * Answers its number, for `request-edit.apply` and `response.apply`. Refused as a whole when one
     * of its edits is; `too-many` beyond 1_024 edits or 64 KiB of text in one instance.
     * Throws: EditError.
     */
    prepare(edits: Array<Edit>): number;
  };
  export default preparedEdits;
}

declare module "jackfield:plugin/request-edit@0.1.0" {
  import type { EditError } from "jackfield:plugin/edits@0.1.0";
  /** What a filter may change of the request, before it is sent on. */
  const requestEdit: {
    /**
     * Makes the edits of a prepared list, in their order. Answers how many could not be made,
     * because there was no value or no room; `0xffff_ffff` when there is no such list, or no request
     * to edit.
     */
    apply(prepared: number): number;
    /**
     * Replaces all values.
     * Throws: EditError.
     */
    setHeader(name: string, value: string): void;
    /** Throws: EditError. */
    setHeaderBytes(name: string, value: Uint8Array): void;
    /**
     * Adds a line.
     * Throws: EditError.
     */
    appendHeader(name: string, value: string): void;
    /**
     * Adds to a comma-separated list: `a, b` becomes `a, b, value`, several lines become one.
     * Throws: EditError.
     */
    joinHeader(name: string, value: string): void;
    /**
     * Sets a header to the first value of another, whatever its bytes, which stays: spares both
     * ways into the plugin and back. `unknown` when there is no other.
     * Throws: EditError.
     */
    copyHeader(source: string, name: string): void;
    /** Throws: EditError. */
    removeHeader(name: string): void;
    /** Throws: EditError. */
    setMethod(method: string): void;
    /**
     * Path and query, beginning with `/`.
     * Throws: EditError.
     */
    setPath(pathAndQuery: string): void;
    /**
     * The host that the endpoint sees.
     * Throws: EditError.
     */
    setHost(host: string): void;
    /**
     * For later plugins on this request; 32 at most, 4 KiB each.
     * Throws: EditError.
     */
    setNote(key: string, value: string): void;
    /**
     * Sends the request to another upstream than the route's.
     * Throws: EditError.
     */
    chooseUpstream(name: string): void;
    /**
     * Answers the request here: no later filter, no endpoint sees it.
     * Throws: EditError.
     */
    answer(status: number, headers: Array<[string, string]>, body: Uint8Array): void;
  };
  export default requestEdit;
}

declare module "jackfield:plugin/response@0.1.0" {
  import type { EditError } from "jackfield:plugin/edits@0.1.0";
  /** What a filter may see and change of the response, before it is passed back. */
  const response: {
    /** Makes the edits of a prepared list, as `request-edit.apply`. */
    apply(prepared: number): number;
    status(): number;
    /** Throws: EditError. */
    setStatus(status: number): void;
    header(name: string): string | null;
    headerBytes(name: string): Uint8Array | null;
    headerValues(name: string): Array<Uint8Array>;
    /** Throws: EditError. */
    setHeader(name: string, value: string): void;
    /** Throws: EditError. */
    setHeaderBytes(name: string, value: Uint8Array): void;
    /** Throws: EditError. */
    appendHeader(name: string, value: string): void;
    /** Throws: EditError. */
    removeHeader(name: string): void;
  };
  export default response;
}

declare module "jackfield:plugin/reply@0.1.0" {
  import type { EditError } from "jackfield:plugin/edits@0.1.0";
  /** What a balancer may leave for the response, before there is one (a sticky cookie). */
  const reply: {
    /**
     * Adds a line to the response of this request; 16 at most. `forbidden` at L4.
     * Throws: EditError.
     */
    appendHeader(name: string, value: string): void;
  };
  export default reply;
}

declare module "jackfield:plugin/delegate@0.1.0" {
  /** The balancer that this one wraps (`then` in the configuration). */
  const delegate: {
    /** Its choice among all eligible endpoints; none when it has none, or when there is no delegate. */
    pick(): number;
    /** Its choice among these candidates only: the rest is not eligible to it. */
    pickAmong(candidates: Array<number>): number;
  };
  export default delegate;
}

declare module "jackfield:plugin/counters@0.1.0" {
  /** Sixteen counters for each use of a plugin, shared by all workers; they begin at 0. */
  const counters: {
    /** Adds, wrapping, and answers the value before. `slot` counts modulo 16. */
    add(slot: number, delta: number): number;
  };
  export default counters;
}

declare module "jackfield:plugin/clock@0.1.0" {
  /** The host's clock: the same for all that one decision asks. */
  const clock: {
    /** Monotonic, in nanoseconds, from an arbitrary start. */
    now(): number;
    /** Since 1970-01-01 UTC, in milliseconds. */
    unixTime(): number;
  };
  export default clock;
}

declare module "jackfield:plugin/random@0.1.0" {
  /** The host's randomness: not for secrets. */
  const random: {
    next(): number;
  };
  export default random;
}

declare module "jackfield:plugin/log@0.1.0" {
  export type Level =
    | "debug"
    | "info"
    | "warn"
    | "error";
  /**
   * Lines for the proxy's log, marked with the plugin's name. What is longer than 2 KiB is cut; of
   * more than ten lines a second the rest is dropped and counted. Grant: `log`.
   */
  const log: {
    write(level: Level, message: string): void;
  };
  export default log;
}

declare module "jackfield:plugin/filtering@0.1.0" {
  import type { Address } from "jackfield:plugin/types@0.1.0";
  import type { Protocol } from "jackfield:plugin/types@0.1.0";
  /** Which calls this use wants; the others cost nothing. */
  export interface Phases {
    request: boolean;
    response: boolean;
  }
  /** What nearly every filter would ask for. */
  export interface FilterContext {
    client: Address;
    protocol: Protocol;
    isTls: boolean;
  }
  /** Exported by an HTTP filter: sees each request and response of the routes and listeners that name it. */
  export interface Filtering {
    /**
     * The settings of this use as a JSON object (`{}` when there are none); answers the phases
     * that it wants to be called for. An error is shown to the operator as a configuration error.
     * Throws: string.
     */
    configure(settings: string): Phases;
    /** The head of the request is there; nothing was sent on yet. */
    onRequest(context: FilterContext): void;
    /** The head of the response is there; nothing was passed back yet. */
    onResponse(context: FilterContext): void;
  }
}

declare module "jackfield:plugin/state@0.1.0" {
  export type StateError =
    /** No store of this name is granted to this use. */
    | "not-granted"
    /** A key above 1 KiB, a value above 64 KiB, or no store of this number. */
    | "malformed"
    /** The store cannot hold this. */
    | "full"
    /** `add` to what is no number. */
    | "not-a-number";
  /**
   * Granted ------------------------------------------------------------------------------------------
   * Key-value stores in the proxy's memory, shared by all workers and by every plugin that is granted
   * the same store. They outlive instances, reloads and new versions of a plugin, not the process.
   * Grant: `state:NAME`, for each store. How much a store holds is the configuration's (`[state.NAME]`):
   * where an entry finds no room, those closest to their end go first, then those without an end, the
   * oldest first; it is refused only when it alone is too large. So any entry may be gone before its
   * time: what must not be lost does not belong here.
   */
  const state: {
    /**
     * The number of a store, good for this instance: best asked for once, in `configure`.
     * Throws: StateError.
     */
    open(name: string): number;
    get(store: number, key: string): Uint8Array | null;
    /**
     * For `ttl` milliseconds from now; none: until it is removed.
     * Throws: StateError.
     */
    set(store: number, key: string, value: Uint8Array, ttl: number | null): void;
    /** Answers whether there was such an entry. */
    remove(store: number, key: string): boolean;
    /**
     * Writes `value` (none: removes) when the entry is what was `expected` (none: absent), as one
     * step; answers whether it was.
     * Throws: StateError.
     */
    compareAndSwap(store: number, key: string, expected: Uint8Array | null, value: Uint8Array | null, ttl: number | null): boolean;
    /**
     * Adds to a number (absent: 0), as one step, and answers the sum, saturating. A number is an
     * entry like others: eight bytes, little-endian. `ttl` counts from when the entry was made: a
     * counter for each minute needs no more than this.
     * Throws: StateError.
     */
    add(store: number, key: string, delta: number, ttl: number | null): number;
  };
  export default state;
}

declare module "jackfield:plugin/metrics@0.1.0" {
  export type MetricError =
    /**
     * Not a name `[a-z][a-z0-9_]*` of at most 64 letters, or one of the proxy's own (`calls`,
     * `failures` ...); of a histogram: a name that ends in `_total`, `_bucket`, `_sum` or `_count`,
     * bounds that are not finite, do not ascend, or are more than 32; a name that is in use as
     * the other kind.
     */
    | "malformed"
    /** More than 64 metrics in one use. */
    | "too-many";
  /**
   * The plugin's own metrics, on the proxy's metrics page as `jackfield_plugin_NAME` with the labels
   * `plugin` and `place`; a counter's name ends in `_total` there, which is added where it is missing.
   * They belong to the use, all workers together, and outlive instances, reloads and new versions of
   * the plugin. Grant: `metrics`.
   */
  const metrics: {
    /**
     * The number of a counter of this name: best asked for once, in `configure`.
     * Throws: MetricError.
     */
    counter(name: string): number;
    /**
     * The number of a histogram: counts of the observations up to each bound, ascending. One that is
     * there already keeps the bounds that it has.
     * Throws: MetricError.
     */
    histogram(name: string, bounds: Array<number>): number;
    /** Nothing happens when there is no such counter. */
    increment(counter: number, delta: number): void;
    /** Nothing happens when there is no such histogram, or when the value is not finite. */
    observe(histogram: number, value: number): void;
  };
  export default metrics;
}

declare module "jackfield:plugin/http@0.1.0" {
  export interface Outgoing {
    upstream: string;
    method: string;
    /** Path and query, beginning with `/`. */
    path: string;
    /** Framing and connection headers are the host's; `host` is the upstream's unless it is here. */
    headers: Array<[string, string]>;
    /** At most 1 MiB. */
    body: Uint8Array;
    /**
     * Milliseconds until the whole reply must be there; at most 30_000, and never beyond the
     * time limit of the client's request.
     */
    timeout: number;
  }
  export type SendError =
    /** No upstream of this name is granted to this use. */
    | "not-granted"
    /**
     * Not a method, path, header or timeout; too long a body, or more than 256 lines or 64 KiB of
     * headers.
     */
    | "malformed"
    /**
     * Nothing can be asked for in this call, or the request comes, by whatever way, of a request that
     * a plugin of this proxy sent (`cdn-loop`, RFC 8586).
     */
    | "forbidden"
    /**
     * More than 8 requests of this use for one request of a client (and 8 for its response), or in
     * one tick; or all that it waits for, bodies and replies of all workers, is above 64 MiB.
     */
    | "too-many";
  /**
   * Requests of the plugin's own, to upstreams of the configuration: an authentication service, feature
   * flags, an oracle. A call does not wait: when the plugin's function has returned, the host sends
   * what it asked for, serves others meanwhile, and hands each reply to `replies.on-reply`; the client's
   * request goes on when no reply is outstanding, or when the plugin has given an answer: what is
   * outstanding then is dropped, as it is when the client goes away. For filters (`on-request`,
   * `on-response`, `on-reply`) and in `refreshing.tick`; never in `pick`. A plugin that imports this
   * exports `replies`. Grant: `http:NAME`, for each upstream.
   * 
   * These requests take the way of clients' requests (balancer, kept connections, retries, health), but
   * pass no filters. Those of a timer go to the healthy endpoints in turn.
   */
  const http: {
    /**
     * Answers a number that comes back with the reply. It does not repeat within one request of a
     * client, whoever sends for it.
     * Throws: SendError.
     */
    send(request: Outgoing): number;
  };
  export default http;
}

declare module "jackfield:plugin/replies@0.1.0" {
  export interface Reply {
    status: number;
    /** Without those of the connection, and without values that are not UTF-8. */
    headers: Array<[string, string]>;
    /** At most 1 MiB. */
    body: Uint8Array;
  }
  export type NoReply =
    | "timeout"
    /** No endpoint answered, or none to the end. */
    | "unreachable"
    /** Longer than 1 MiB, or than the room that is left (see `too-many`). */
    | "too-large";
  /** Exported by a plugin that imports `http`. */
  const replies: {
    /**
     * Called with the request (or response) that `send` was called for, in the same phase: what could
     * be edited and answered then can be now, and more can be sent.
     * 
     * Calls for different requests interleave, and an instance that failed meanwhile (in a call for
     * another request) is replaced by a new one, which hears the replies that are left: keep what
     * belongs to a request in its notes, not in the instance. Where no instance is ready yet, the
     * failure policy of the use applies. A request that waits during a reload ends with the instances
     * that it began with.
     */
    onReply(ticket: number, reply: { tag: "ok", val: Reply } | { tag: "err", val: NoReply }): void;
  };
  export default replies;
}

declare module "jackfield:plugin/refreshing@0.1.0" {
  /**
   * Exported by a plugin that wants to be called from time to time, away from all requests. It lives in
   * an instance of its own, on the control side of the proxy: what it finds out it leaves in `state`
   * for the instances that decide, so a `pick` never waits. The instance of a balancer gets `update`
   * like every other. One that fails is replaced; failures of the timer put the timer into quarantine,
   * not the decisions. Grant: `timer`.
   */
  const refreshing: {
    /**
     * Answers the milliseconds until the next call, between 100 and 3_600_000 (what is less or more is
     * taken for these); they count from when its replies are there. The first call comes at the start,
     * and at once when a reload changes the use; one that leaves the use as it is makes a new instance
     * and keeps the time of the next call. After a failure the next call comes within a second.
     */
    tick(): number;
  };
  export default refreshing;
}

declare module "jackfield:plugin/body-filtering@0.1.0" {
  /** How a body comes. */
  export type Delivery =
    /** Not at all: it costs nothing. */
    | "never"
    /** As it passes, in pieces of at most 64 KiB; the head went before. */
    | "chunks"
    /**
     * All at once, before its head is sent on: head and body can be changed together, and the
     * request be answered. What is longer than the use's `body` limit (1 MiB) is refused: 413
     * for a request, 502 for a response.
     */
    | "whole";
  export interface Wishes {
    request: Delivery;
    response: Delivery;
  }
  export type Verdict =
    /** As it came. */
    | { tag: "pass" }
    /** This in its place; it may be empty. */
    | { tag: "replace", val: Uint8Array }
    /**
     * Nothing more of this message: its connection (or stream) is cut off. With `whole` the
     * client gets 403 for a request and 502 for a response, unless the plugin gave an answer.
     */
    | { tag: "abort" };
  /** Exported by a filter that reads or changes bodies. Grant: `body`. */
  const bodyFiltering: {
    /** Asked once, after `configure`. */
    deliveries(): Wishes;
    /**
     * A piece of the request's body. `end` comes with the last one, which may be empty; it does not
     * come when the client gives up. Calls for different requests interleave: keep what belongs to
     * one in its notes.
     */
    onRequestBody(chunk: Uint8Array, end: boolean): Verdict;
    onResponseBody(chunk: Uint8Array, end: boolean): Verdict;
  };
  export default bodyFiltering;
}
