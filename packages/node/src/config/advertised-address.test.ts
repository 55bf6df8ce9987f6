import { expect } from "chai";
import { advertisedClusterAddress, advertisedHttpAddress } from "./advertised-address.ts";

describe("advertised address", () => {
  const machine = { firstAddress: "10.0.0.7" };

  it("is what is given, else where it listens, else the machine's first address", () => {
    expect(advertisedClusterAddress({ host: "", port: 7946 }, 7946, "node-1:7000", machine)).to.equal("node-1:7000");
    expect(advertisedClusterAddress({ host: "10.1.1.1", port: 0 }, 3456, undefined, machine)).to.equal("10.1.1.1:3456");
    expect(advertisedClusterAddress({ host: "0.0.0.0", port: 7946 }, 7946, undefined, machine)).to.equal("10.0.0.7:7946");
    expect(advertisedClusterAddress({ host: "::", port: 7946 }, 7946, undefined, { firstAddress: "fd00::7" })).to.equal("[fd00::7]:7946");
  });

  it("that cannot be known must be given", () => {
    expect(() => advertisedClusterAddress({ host: "::", port: 7946 }, 7946, undefined, { firstAddress: undefined })).to.throw("set cluster_advertise");
  });

  it("of HTTP is at the cluster's host where HTTP listens on every interface", () => {
    expect(advertisedHttpAddress({ host: "", port: 4040 }, 4040, undefined, "[fd00::7]:7946")).to.equal("[fd00::7]:4040");
    expect(advertisedHttpAddress({ host: "", port: 4040 }, 4040, undefined, "node-1:7946")).to.equal("node-1:4040");
    expect(advertisedHttpAddress({ host: "127.0.0.1", port: 0 }, 5050, undefined, "10.0.0.7:7946")).to.equal("127.0.0.1:5050");
    expect(advertisedHttpAddress({ host: "127.0.0.1", port: 0 }, 5050, "p.example:80", "10.0.0.7:7946")).to.equal("p.example:80");
  });
});
