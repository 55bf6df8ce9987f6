import { connect } from "node:net";
import { expect } from "chai";
import { messageOf } from "./errors.ts";

describe("the message of what was thrown", () => {
  it("names each address of a host that was tried: the error of Node.js has no message of its own", async () => {
    const error = await new Promise((resolve) => {
      const lookup = (_: string, __: object, tell: (error: null, addresses: { address: string; family: number }[]) => void): void => tell(null, [{ address: "127.0.0.1", family: 4 }, { address: "127.0.0.2", family: 4 }]);
      connect({ host: "app", port: 1, lookup, autoSelectFamily: true }).on("error", resolve);
    });
    expect((error as Error).message).equal("");
    expect(messageOf(error)).equal("connect ECONNREFUSED 127.0.0.1:1; connect ECONNREFUSED 127.0.0.2:1");
  });

  it("is never empty", () => {
    expect([new Error(""), new AggregateError([], ""), new TypeError("")].map(messageOf)).deep.equal(["Error", "AggregateError", "TypeError"]);
    expect([messageOf(new Error("a")), messageOf("b"), messageOf(undefined)]).deep.equal(["a", "b", "undefined"]);
  });
});
