import { CodedError, invalidArgument, unavailable } from "@pyromesh/base";
import { expect } from "chai";
import { errorReply } from "./error-status.ts";

describe("error replies", () => {
  it("Retry-After is what the refusal knows, else a second; where a retry brings nothing there is none", () => {
    const starting = new CodedError({ code: "NODE_STARTING", kind: "unavailable", message: "starting", details: { retryAfterSeconds: 17 } });
    expect(errorReply(starting)).to.deep.include({ status: 503, headers: { "content-type": "application/json", "retry-after": "17" } });
    expect(errorReply(unavailable("HEAD_FULL", "full")).headers["retry-after"]).to.equal("1");
    expect(errorReply(invalidArgument("LABEL_INVALID", "wrong")).headers).to.not.have.property("retry-after");
  });
});
