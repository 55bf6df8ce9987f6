/** A node of the tests' cluster in a process of its own, over libp2p: `node peer-process.js NAME`. It tells its parent its address, echoes requests, and counts what it got. */
import { silentLogger, systemClock } from "@pyromesh/base";
import { loadLibp2pNetwork } from "../libp2p/load-libp2p.ts";
import { LinkRig } from "./link-rig.ts";

const rig = new LinkRig({ clock: systemClock, network: await loadLibp2pNetwork({ clock: systemClock, logger: silentLogger }), host: "127.0.0.1" });
const { requests, address } = await rig.start(process.argv[2]!);
for (const method of ["append", "scan"] as const) requests.handle(method, (_, body) => Promise.resolve(body));
process.on("disconnect", () => process.exit());
process.send!(address);
