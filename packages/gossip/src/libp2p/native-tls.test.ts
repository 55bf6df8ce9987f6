import "./promise-with-resolvers.ts";
import { once } from "node:events";
import { connect } from "node:net";
import { tcp } from "@libp2p/tcp";
import { tls } from "@libp2p/tls";
import { yamux } from "@libp2p/yamux";
import { expect } from "chai";
import { systemClock } from "@pyromesh/base";
import { createLibp2p } from "libp2p";
import { nativeTls } from "./native-tls.ts";

type Node = Awaited<ReturnType<typeof createLibp2p>>;

const native = (): ReturnType<typeof nativeTls> => nativeTls({ clock: systemClock });
const ECHO = "/echo";

describe("native TLS", () => {
  const nodes: Node[] = [];
  afterEach(async () => {
    for (const node of nodes.splice(0)) await node.stop();
  });

  const start = async (encrypter: typeof native | typeof tls): Promise<Node> => {
    const node = await createLibp2p({ addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] }, transports: [tcp()], connectionEncrypters: [encrypter()], streamMuxers: [yamux()] });
    nodes.push(node);
    await node.handle(ECHO, (stream) => stream.addEventListener("message", ({ data }) => stream.send(data)));
    return node;
  };

  /** Sends `bytes` and resolves with as many that come back. */
  const echo = async (from: Node, to: Node, bytes: Uint8Array): Promise<Buffer> => {
    const connection = await from.dial(to.getMultiaddrs());
    expect(connection.remotePeer.equals(to.peerId)).to.equal(true);
    const stream = await connection.newStream(ECHO);
    const parts: Uint8Array[] = [];
    let sizeBytes = 0;
    const whole = new Promise<Buffer>((resolve) =>
      stream.addEventListener("message", ({ data }) => {
        parts.push(data.subarray());
        if ((sizeBytes += data.byteLength) >= bytes.length) resolve(Buffer.concat(parts));
      }),
    );
    stream.send(bytes);
    return whole;
  };

  for (const [name, first, second] of [
    ["dials one with libp2p's own TLS", native, tls],
    ["is dialled by one with libp2p's own TLS", tls, native],
    ["dials another one", native, native],
  ] as const) {
    it(`a node ${name}: each has the other's peer id, and bytes arrive as they were sent`, async () => {
      const [a, b] = [await start(first), await start(second)];
      const bytes = Uint8Array.from({ length: 200_000 }, (_, at) => at % 251);
      expect(Buffer.compare(await echo(a, b, bytes), bytes)).to.equal(0);
    });
  }

  it("a connection that is aborted in the middle of its traffic closes on both sides, and the nodes link again", async () => {
    const [a, b] = [await start(native), await start(native)];
    await echo(a, b, new Uint8Array(1));
    const [ofA, ofB] = [a.getConnections()[0]!, b.getConnections()[0]!];
    const stream = await ofA.newStream(ECHO);
    stream.send(new Uint8Array(100_000));
    const closed = new Promise((resolve) => ofB.addEventListener("close", resolve));
    ofA.abort(new Error("no longer wanted"));
    await closed;
    expect((await echo(a, b, Uint8Array.of(7)))[0]).to.equal(7);
  });

  it("noise after the negotiation ends that connection, and nothing else", async () => {
    const [a, b] = [await start(native), await start(native)];
    const { port } = /\/tcp\/(?<port>\d+)/.exec(String(b.getMultiaddrs()[0]))!.groups!;
    const stranger = connect(Number(port), "127.0.0.1");
    const prefixed = (text: string): Buffer => Buffer.concat([Buffer.of(text.length + 1), Buffer.from(`${text}\n`)]);
    stranger.resume();
    stranger.on("error", () => undefined); // the other side may reset it
    stranger.write(Buffer.concat([prefixed("/multistream/1.0.0"), prefixed("/tls/1.0.0"), Buffer.alloc(1000, 0xaa)]));
    await once(stranger, "close");
    expect((await echo(a, b, Uint8Array.of(7)))[0]).to.equal(7);
  });
});
