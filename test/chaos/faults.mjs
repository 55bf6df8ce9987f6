/**
 * The faults of the chaos run. Each begins, lasts and ends, and then the run waits until the cluster says that it has healed before the next.
 *
 * `down` has the members that are not asked meanwhile: a client that is refused a connection goes to another one at once.
 */
import { setTimeout as sleep } from "node:timers/promises";

/** Longer than it takes until a member is declared dead: some come back before, and some after. */
const DOWN_MS_MAX = 4_500;

/** Those that take one member away at a time. No request to the others may fail meanwhile; under all other faults a member may have to refuse, since it is cut off or the bucket does not answer. */
export const MEMBER_FAULTS = new Set(["kill", "wipe", "pause", "rolling-restart"]);

/** name -> async ({ cluster, bucket, name, other, random, down }) => void. `name` is the member that it happens to, `other` another one. */
export const FAULTS = {
  kill: async ({ cluster, name, random, down }) => {
    await without(down, name, async () => {
      await cluster.kill(name);
      await sleep(500 + random() * DOWN_MS_MAX);
      await cluster.start(name);
      await cluster.ready([name]);
    });
  },
  wipe: async ({ cluster, name, random, down }) => {
    await without(down, name, async () => {
      await cluster.kill(name, { wipe: true });
      await sleep(500 + random() * DOWN_MS_MAX);
      await cluster.start(name);
      await cluster.ready([name]);
    });
  },
  pause: async ({ cluster, name, random, down }) => {
    await without(down, name, async () => {
      cluster.pause(name);
      await sleep(1_000 + random() * 15_000);
      cluster.resume(name);
      await cluster.isBack(name);
      await cluster.ready([name]);
    });
  },
  cut: async ({ cluster, name, random }) => {
    for (const peer of cluster.names) if (peer !== name) cutBoth(cluster, name, peer);
    await sleep(2_000 + random() * 12_000);
    cluster.links.heal();
  },
  "cut-one-way": async ({ cluster, name, random }) => {
    for (const peer of cluster.names) if (peer !== name) cluster.links.set(name, peer, { isCut: true });
    await sleep(2_000 + random() * 12_000);
    cluster.links.heal();
  },
  "cut-pair": async ({ cluster, name, other, random }) => {
    cutBoth(cluster, name, other);
    await sleep(2_000 + random() * 12_000);
    cluster.links.heal();
  },
  slow: async ({ cluster, name, random }) => {
    for (const peer of cluster.names) for (const [from, to] of [[name, peer], [peer, name]]) if (peer !== name) cluster.links.set(from, to, { delayMs: 50 + random() * 300 });
    await sleep(8_000);
    cluster.links.heal();
  },
  narrow: async ({ cluster, name }) => {
    for (const peer of cluster.names) if (peer !== name) cluster.links.set(peer, name, { bytesPerSecond: 64 << 10 });
    await sleep(8_000);
    cluster.links.heal();
  },
  reset: async ({ cluster, name }) => {
    for (let times = 0; times < 5; times++) {
      for (const peer of cluster.names) if (peer !== name) cluster.links.reset(name, peer);
      await sleep(700);
    }
  },
  "bucket-refuses": ({ bucket, random }) => during(bucket, { kind: "refuse" }, 3_000 + random() * 8_000),
  "bucket-slow": ({ bucket }) => during(bucket, { kind: "slow", delayMs: 800 }, 8_000),
  "bucket-unsure": ({ bucket }) => during(bucket, { kind: "put-unsure", share: 0.7 }, 8_000),
  "bucket-silent": ({ bucket, random }) => during(bucket, { kind: "silent" }, 3_000 + random() * 8_000),
  "rolling-restart": async ({ cluster, down }) => {
    for (const name of cluster.names) {
      await without(down, name, async () => {
        await cluster.stop(name);
        await cluster.start(name);
        await cluster.ready([name]);
      });
      await cluster.settled();
    }
  },
};

async function without(down, name, run) {
  down.add(name);
  try {
    await run();
  } finally {
    down.delete(name);
  }
}

function cutBoth(cluster, a, b) {
  cluster.links.set(a, b, { isCut: true });
  cluster.links.set(b, a, { isCut: true });
}

/** A folder as the bucket has no faults. */
async function during(bucket, fault, lengthMs) {
  bucket?.set(fault);
  await sleep(lengthMs);
  bucket?.set(undefined);
}
