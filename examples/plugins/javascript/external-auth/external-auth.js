// Asks the upstream `auth-service` who the user is, and lets nobody pass whom it does not know.

import http from "jackfield:plugin/http@0.1.0";
import request from "jackfield:plugin/request@0.1.0";
import requestEdit from "jackfield:plugin/request-edit@0.1.0";

const refuse = (status, body) => requestEdit.answer(status, [], body);
// QuickJS has no TextEncoder.
const bytes = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

export const filtering = {
  configure() {
    return { request: true };
  },

  onRequest() {
    // Nobody but the service says who the user is.
    requestEdit.removeHeader("x-user");
    http.send({
      upstream: "auth-service",
      method: "GET",
      path: "/check",
      headers: [["x-path", request.path() ?? "/"], ["cookie", request.header("cookie") ?? ""]],
      body: bytes(""),
      timeout: 2000,
    });
  },

  onResponse() {},
};

export const replies = {
  onReply(_ticket, { tag, val }) {
    if (tag === "err") return refuse(503, bytes("nobody can say who you are\n"));
    if (val.status !== 200) return refuse(401, val.body);
    const user = val.headers.find(([name]) => name === "x-user");
    requestEdit.setHeader("x-user", user ? user[1] : "unknown");
  },
};
