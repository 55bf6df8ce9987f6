/** Worker threads that run in this thread. The seed decides when their messages arrive and when they die. The node's own code supervises them. */
import type { Random } from "@pyromesh/base";
import type { WorkerThreads } from "pyromesh";
import { CRASHED, InPlaceThreads, OUT_OF_MEMORY } from "pyromesh/testing";
import type { Chance } from "./chance.ts";
import { cloneMessage } from "./clone-message.ts";
import type { Faults } from "./faults.ts";
import type { Journal } from "./journal.ts";
import type { Life, Scheduler } from "./scheduler.ts";

export function simThreads(life: Life, chance: Chance, { faults, journal, random, scheduler }: { readonly faults: Faults; readonly journal: Journal; readonly random: Random; readonly scheduler: Scheduler }): WorkerThreads {
  return new InPlaceThreads({
    random,
    clone: cloneMessage,
    deliver: (what, run) => {
      const slowMs = faults.comes("worker is slow") ? faults.slowMs() / 4 : 0;
      scheduler.after(chance.delay(0.2) + slowMs, life, () => {
        journal.trace("thread", what);
        run();
      });
    },
    endAt: () => {
      if (faults.comes("worker dies")) return CRASHED;
      return faults.comes("worker is out of memory") ? OUT_OF_MEMORY : undefined;
    },
  });
}
