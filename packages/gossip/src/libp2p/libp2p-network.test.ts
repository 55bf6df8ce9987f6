import { silentLogger, systemClock } from "@pyromesh/base";
import { networkContract } from "../testing/network-contract.ts";
import { loadLibp2pNetwork } from "./load-libp2p.ts";

networkContract("network over libp2p", async () => ({ network: await loadLibp2pNetwork({ clock: systemClock, logger: silentLogger }), host: "127.0.0.1" }));
