import { systemClock } from "@pyromesh/base";
import { MemoryNetwork } from "./memory-network.ts";
import { networkContract } from "./network-contract.ts";

networkContract("network in memory", async () => ({ network: new MemoryNetwork({ clock: systemClock }), host: "10.0.0.1" }));
