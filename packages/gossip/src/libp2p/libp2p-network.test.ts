import { expect } from "chai";
import { silentLogger, systemClock, type CodedError } from "@pyromesh/base";
import { networkContract } from "../testing/network-contract.ts";
import { LinkRig } from "../testing/link-rig.ts";
import { loadLibp2pNetwork } from "./load-libp2p.ts";

networkContract("network over libp2p", async () => ({ network: await loadLibp2pNetwork({ clock: systemClock, logger: silentLogger }), host: "127.0.0.1" }));

describe("network over libp2p, its own address", () => {
  it("a node that dials itself is told so, and its own connection is not counted as a stranger's", async () => {
    const rig = new LinkRig({ clock: systemClock, network: await loadLibp2pNetwork({ clock: systemClock, logger: silentLogger }), host: "127.0.0.1" });
    const a = await rig.start("a");
    const error = await a.links.connect(a.address, new AbortController().signal).catch((thrown: CodedError) => thrown);
    expect(error).to.deep.include({ code: "PEER_REFUSED", details: { reason: "self", isByPeer: false } });
    await rig.stop();
    expect(await a.metrics.text()).not.to.include("no-link");
  });
});

describe("network over libp2p, clocks", () => {
  const now = Date.now;
  afterEach(() => {
    Date.now = now;
  });

  it("a node whose clock is hours behind links all the same: the other's certificate is not valid yet by its clock", async () => {
    // Certificates are checked by Date.now, of which there is one in a process: here whoever checks is two hours behind.
    let refusedCount = 0;
    Date.now = () => {
      if (!/verifyPeerCertificate/.test(new Error().stack ?? "")) return now();
      refusedCount++;
      return now() - 7_200_000;
    };
    const rig = new LinkRig({ clock: systemClock, network: await loadLibp2pNetwork({ clock: systemClock, logger: silentLogger }), host: "127.0.0.1" });
    const [a, b] = [await rig.start("a"), await rig.start("b")];
    try {
      expect(await a.links.connect(b.address, new AbortController().signal)).to.deep.include({ name: "b" });
      expect(refusedCount).to.be.greaterThan(0);
    } finally {
      await rig.stop();
    }
  });
});
