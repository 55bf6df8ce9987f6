/** An operator tells a member to leave the cluster. */
import { stateOf } from "../check/check-cluster.ts";
import { at } from "../world/machine.ts";
import type { Machine } from "../world/machine.ts";
import { NoAnswer } from "../world/sim-network.ts";
import type { World } from "../world/world.ts";

/** Also a member that leaves and was restarted is asked again. One that may not leave now stays. */
export async function askToLeave({ journal, leaving }: World, machine: Machine): Promise<void> {
  try {
    const { body, status } = await machine.network.request({ method: "POST", path: "/api/v1/cluster/leave", headers: {}, body: new Uint8Array(0) }, { timeoutMs: 5_000 });
    journal.note("operator", `leave${at(machine)}: ${status} ${body.slice(0, 200)}`);
    if (status >= 400 && status < 500 && (await stateOf(machine)) === "active") leaving.delete(machine);
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    journal.note("operator", `leave${at(machine)}: ${error.message}`);
  }
}
