import { systemClock } from "@pyromesh/base";
import { MemoryBucket } from "./memory-bucket.ts";
import { describeBucket } from "../testing/index.ts";

describeBucket("memory", {
  async open() {
    return new MemoryBucket({ clock: systemClock });
  },
});
