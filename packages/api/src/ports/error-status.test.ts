import { CodedError, invalidArgument, unavailable } from "@pyromesh/base";
import type { ErrorKind } from "@pyromesh/base";
import { expect } from "chai";
import { errorReply, errorReplyWith, httpStatusOf, statusOfKind } from "./error-status.ts";

describe("error status", () => {
  it("each kind has Connect's status", () => {
    const table: readonly [ErrorKind, number][] = [
      ["invalid_argument", 400],
      ["failed_precondition", 400],
      ["unauthenticated", 401],
      ["permission_denied", 403],
      ["not_found", 404],
      ["resource_exhausted", 429],
      ["canceled", 499],
      ["internal", 500],
      ["data_loss", 500],
      ["unimplemented", 501],
      ["unavailable", 503],
      ["deadline_exceeded", 504],
    ];
    for (const [kind, status] of table) expect(statusOfKind(kind), kind).to.equal(status);
  });

  it("a body that is too large is 413, one that stopped 408", () => {
    expect(httpStatusOf(invalidArgument("BODY_TOO_LARGE", "x"))).to.equal(413);
    expect(httpStatusOf(new CodedError({ code: "BODY_READ_FAILED", kind: "canceled", message: "x" }))).to.equal(408);
  });

  it("the message of an error without a code is not sent", () => {
    const reply = errorReply(new TypeError("inner secret"));
    expect(reply.status).to.equal(500);
    expect(reply.body).to.not.contain("secret");
    expect(JSON.parse(reply.body as string)).to.have.property("code", "internal");
  });

  it("an unavailable node says when to try again", () => {
    const reply = errorReply(unavailable("X", "come back"));
    expect(reply.headers["retry-after"]).to.equal("1");
    expect(JSON.parse(reply.body as string)).to.deep.equal({ code: "unavailable", message: "come back" });
  });

  it("Retry-After: an error's own time; none where an answer would lack data and no time is known", () => {
    const refusal = (details: Record<string, number | boolean>): CodedError => new CodedError({ code: "X", kind: "unavailable", message: "come back", details });
    expect(errorReply(refusal({ retryAfterSeconds: 17 })).headers["retry-after"]).to.equal("17");
    expect(errorReply(refusal({ retryAfterSeconds: 17, canBePartial: true })).headers["retry-after"]).to.equal("17");
    expect(errorReply(refusal({ canBePartial: true })).headers).not.to.have.property("retry-after");
    expect(errorReplyWith(422, refusal({})).headers).not.to.have.property("retry-after");
  });

  it("a refusal says where a partial answer is possible", () => {
    expect(errorReply(unavailable("X", "come back")).headers).to.not.have.property("x-pyromesh-partial");
    const reply = errorReply(new CodedError({ code: "X", kind: "unavailable", message: "come back", details: { canBePartial: true } }));
    expect(reply.headers["x-pyromesh-partial"]).to.equal("possible");
  });

  it("a route may answer the same error under another status", () => {
    expect(errorReplyWith(422, invalidArgument("X", "y")).status).to.equal(422);
  });
});
