import { mkdtemp, rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { CodedError, Metrics, seededRandom, silentLogger, systemClock } from "@pyromesh/base";
import { levelStoreOpener } from "./level-store.ts";
import { openHead } from "../open-head.ts";
import { replayHead } from "../testing/fixtures.ts";
import { describeStore } from "../testing/store-suite.ts";
import { MemoryDisk } from "../testing/memory-store.ts";

describeStore("LevelDB", async () => {
  const dir = await mkdtemp(join(tmpdir(), "pyromesh-level-"));
  const opener = levelStoreOpener(dir, { clock: systemClock, logger: silentLogger }, { writeBufferBytes: 96 << 20 });
  let { store } = await opener.open({ isRepairing: true });
  return {
    store,
    reopen: async () => {
      await store.close();
      return ({ store } = await opener.open({ isRepairing: false })).store;
    },
    clean: async () => {
      await store.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
});

describeStore("memory", async () => {
  const disk = new MemoryDisk();
  const { store } = await disk.open({ isRepairing: true });
  return {
    store,
    reopen: async () => {
      await store.close();
      return (await disk.open({ isRepairing: false })).store;
    },
    clean: async () => {},
  };
});

describe("two processes on one data dir", function () {
  this.timeout(20_000);

  it("lock: the second is refused and told who holds it; after the first has gone it may", async () => {
    const dir = await mkdtemp(join(tmpdir(), "pyromesh-lock-"));
    const modules = { clock: systemClock, random: seededRandom(1), logger: silentLogger };
    const open = (): ReturnType<typeof openHead> => openHead({ dir, diskBudgetBytes: 1 << 20 }, { ...modules, metrics: new Metrics() });
    const child = spawn(process.execPath, [fileURLToPath(new URL("../testing/append-forever.js", import.meta.url)), dir], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(child.stdout, "data"); // it has appended, so it holds the lock
      const refusal = await open().then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(refusal).instanceOf(CodedError);
      expect((refusal as CodedError).code).equal("HEAD_LOCKED");
      expect((refusal as CodedError).message).contain(`process ${child.pid} on ${hostname()}`).and.contain(dir);
    } finally {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    const { head } = await replayHead(await open());
    await head.close();
    await rm(dir, { recursive: true, force: true });
  });
});
