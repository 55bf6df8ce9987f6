/**
 * A TCP proxy in front of one member's cluster port, so that links between members can be cut, delayed and slowed without root.
 *
 * Members are told the proxy's address. Who dials is found by the socket: /proc says which process of the cluster owns the other end. So each
 * direction of each pair of members has rules of its own, though all of them dial the same port.
 *
 *   dialler ── socket A ──► proxy ── socket B ──► member        rules of (dialler -> member) and of (member -> dialler)
 *
 * A cut link is silent: bytes are kept back and nobody is told, as when a cable is pulled. `reset` ends the connections instead.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, createServer } from "node:net";

/** Bytes that a cut or slow direction holds back before the proxy stops reading its sender. */
const HELD_BYTES_MAX = 1 << 20;

/** The rules of all directions, and the connections that they hold for. Names are those of the members; `undefined` stands for who is not known. */
export class Links {
  #rules = new Map();
  #pairs = new Set();

  /** `rule`: { isCut, delayMs, bytesPerSecond }; undefined: none. */
  set(from, to, rule) {
    if (rule === undefined) this.#rules.delete(`${from}>${to}`);
    else this.#rules.set(`${from}>${to}`, rule);
    for (const pair of this.#pairs) pair.wake();
  }

  heal() {
    this.#rules.clear();
    for (const pair of this.#pairs) pair.wake();
  }

  rule(from, to) {
    return this.#rules.get(`${from}>${to}`);
  }

  /** Ends every connection between the two. */
  reset(a, b) {
    for (const pair of this.#pairs) if ((pair.dialler === a && pair.member === b) || (pair.dialler === b && pair.member === a)) pair.destroy();
  }

  add(pair) {
    this.#pairs.add(pair);
    return () => this.#pairs.delete(pair);
  }
}

/** Resolves with { port, stop }. `targetPort`: the member's own cluster port. `pidsOf()`: name -> pid of each process of the cluster now. */
export async function openLinkProxy({ member, targetPort, links, pidsOf }) {
  const open = new Set();
  const server = createServer((socket) => {
    const dialler = ownerOf(socket.remotePort, pidsOf());
    const target = connect({ host: "127.0.0.1", port: targetPort });
    const stopA = pump(socket, target, () => links.rule(dialler, member));
    const stopB = pump(target, socket, () => links.rule(member, dialler));
    const pair = {
      dialler,
      member,
      wake: () => {
        stopA.wake();
        stopB.wake();
      },
      destroy: () => {
        socket.destroy();
        target.destroy();
      },
    };
    open.add(pair);
    const forget = links.add(pair);
    const end = () => {
      pair.destroy();
      open.delete(pair);
      forget();
    };
    for (const side of [socket, target]) {
      side.setNoDelay(true);
      side.on("error", () => {});
      side.on("close", end);
    }
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    port: server.address().port,
    stop: () =>
      new Promise((resolve) => {
        for (const pair of open) pair.destroy();
        server.close(resolve);
      }),
  };
}

/** Sends what `from` sends to `to`, by the rule in force for each piece. */
function pump(from, to, rule) {
  const held = [];
  let heldBytes = 0;
  let timer;
  let isEnding = false;
  let freeAtMs = 0;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    while (held.length > 0) {
      const { isCut = false, delayMs = 0, bytesPerSecond = Infinity } = rule() ?? {};
      if (isCut) return; // `wake` comes when the rule changes
      const nowMs = performance.now();
      const dueMs = Math.max(held[0].atMs + delayMs, freeAtMs);
      if (dueMs > nowMs) {
        timer = setTimeout(flush, dueMs - nowMs);
        return;
      }
      const { bytes } = held.shift();
      heldBytes -= bytes.length;
      freeAtMs = Math.max(freeAtMs, nowMs) + (bytes.length / bytesPerSecond) * 1000;
      if (!to.write(bytes)) {
        from.pause();
        to.once("drain", () => from.resume());
      } else if (heldBytes < HELD_BYTES_MAX) from.resume();
    }
    if (isEnding) to.end();
  };
  from.on("data", (bytes) => {
    held.push({ bytes, atMs: performance.now() });
    heldBytes += bytes.length;
    if (heldBytes >= HELD_BYTES_MAX) from.pause();
    if (timer === undefined) flush();
  });
  from.on("end", () => {
    isEnding = true;
    if (timer === undefined) flush();
  });
  return { wake: flush };
}

/** The name of the process that owns the local TCP port; undefined where it is none of them. */
function ownerOf(port, pids) {
  const inode = inodeOf(port);
  if (inode === undefined) return undefined;
  for (const [name, pid] of pids) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        try {
          if (readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`) return name;
        } catch {
          // closed meanwhile
        }
      }
    } catch {
      // the process has ended
    }
  }
  return undefined;
}

function inodeOf(port) {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  for (const file of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    let text;
    try {
      text = readFileSync(file, "utf8");
    } catch {
      continue;
    }
    for (const line of text.split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(`:${wanted}`) && fields[9] !== "0") return fields[9];
    }
  }
  return undefined;
}
