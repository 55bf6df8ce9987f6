import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { httpStatusOf } from "../ports/error-status.ts";
import { readTenants, TENANT_COUNT_MAX } from "./tenancy.ts";

const ON = { isMultitenant: true };

function statusOf(run: () => unknown): number {
  try {
    run();
  } catch (thrown) {
    expect(thrown).to.be.instanceOf(CodedError);
    return httpStatusOf(thrown);
  }
  return 200;
}

describe("tenancy", () => {
  it("off: everyone is anonymous, whatever the header says", () => {
    expect(readTenants("a|b", "write", { isMultitenant: false })).to.deep.equal(["anonymous"]);
    expect(readTenants(undefined, "read", { isMultitenant: false })).to.deep.equal(["anonymous"]);
  });

  it("a read may name several tenants, which are sorted and without repetitions", () => {
    expect(readTenants("b|a|b", "read", ON)).to.deep.equal(["a", "b"]);
  });

  it("a write of several tenants is 400; one that is repeated is one", () => {
    expect(statusOf(() => readTenants("a|b", "write", ON))).to.equal(400);
    expect(readTenants("a|a", "write", ON)).to.deep.equal(["a"]);
  });

  it("no tenant is 401", () => {
    expect(statusOf(() => readTenants(undefined, "read", ON))).to.equal(401);
    expect(statusOf(() => readTenants(" ", "write", ON))).to.equal(401);
  });

  for (const bad of ["..", "a/b", "a||b", "|", "a, b", "x".repeat(151)]) {
    it(`${JSON.stringify(bad.slice(0, 10))} is 400`, () => expect(statusOf(() => readTenants(bad, "read", ON))).to.equal(400));
  }

  it("a read of too many tenants is 400", () => {
    const many = Array.from({ length: TENANT_COUNT_MAX + 1 }, (_, index) => `t${index}`).join("|");
    expect(statusOf(() => readTenants(many, "read", ON))).to.equal(400);
  });
});
