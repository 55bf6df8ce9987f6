import { readFile } from "node:fs/promises";
import { expect } from "chai";
import { METHODS, PART_BYTES } from "./frame.ts";
import { PROTOCOL_MAX, REFUSALS } from "./handshake.ts";
import { PEER_BUDGET } from "./peer-budget.ts";
import { FRAME_BYTES_MAX } from "./peer-network.ts";

describe("PROTOCOL.md", () => {
  it("names every method by its number, every refusal in its order, the bounds, and the newest version", async () => {
    const page = await readFile(new URL("../../PROTOCOL.md", import.meta.url), "utf8");
    expect([...page.matchAll(/^\| (\d+) \| `([\w-]+)` \|/gm)].map(([, number, method]) => `${number} ${method}`)).to.deep.equal(METHODS.map((method, number) => `${number} ${method}`));
    expect([...page.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, code]) => code)).to.deep.equal(REFUSALS);
    expect([...page.matchAll(/^\| (\d+) \| [^`]/gm)].map(([, version]) => Number(version)).at(-1)).to.equal(PROTOCOL_MAX);
    for (const text of [`at most ${PART_BYTES} bytes of a body`, `A frame is at most ${FRAME_BYTES_MAX / 2 ** 20} MiB`, `${PEER_BUDGET.countMax} requests and ${PEER_BUDGET.bytesMax / 2 ** 20} MiB`, `A body is at most ${PEER_BUDGET.bodyBytesMax / 2 ** 20} MiB`]) {
      expect(page).to.include(text);
    }
  });
});
