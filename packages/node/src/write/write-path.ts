/**
 * The write path put together: the writer, where it sends records, and what other members send here (`append`, `arrival`).
 *
 *   push ──▶ Writer ──▶ Replicator ──▶ this head, and the AppendSender of each other member that is to keep the record
 *                           └─ a store did not say that it keeps it ──▶ Hints send it again
 *   another member's records ──▶ AppendHandler ──▶ this head
 *
 * On a node without a cluster each record has one store, this one, and nobody sends or is sent anything.
 */
import type { Clock, Logger, Metrics } from "@pyromesh/base";
import type { Head } from "@pyromesh/head";
import { AppendHandler } from "../cluster/append-handler.ts";
import { AppendSenders } from "../cluster/append-senders.ts";
import { ArrivalRegister } from "../cluster/arrival-register.ts";
import type { Cluster } from "../cluster/ports.ts";
import { ArrivalAgreement } from "./arrival-agreement.ts";
import { Hints } from "./hints.ts";
import { Placement } from "./placement.ts";
import type { PlacementLimits } from "./placement.ts";
import { Replicator } from "./replicator.ts";
import { Writer } from "./writer.ts";
import type { WriterLimits, WriterModules } from "./writer.ts";

export interface WritePathModules extends Pick<WriterModules, "activeSeries" | "arrivalTimes" | "compute" | "floorOf" | "openGeneration" | "refusesBecause" | "versions"> {
  readonly cluster: Cluster;
  readonly head: Head;
  readonly limitsFor: (tenant: string) => WriterLimits & PlacementLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface WritePath {
  readonly writer: Writer;
  /** Nothing is sent to other members any more. */
  stop(): void;
}

export function writePath(modules: WritePathModules): WritePath {
  const { cluster, clock, head } = modules;
  const senders = new AppendSenders({ cluster, clock });
  const placement = new Placement({ cluster, storeId: () => head.storeId, limitsOf: modules.limitsFor, silent: () => senders.silent });
  const register = new ArrivalRegister({}, { clock });
  const hints = new Hints({}, { ...modules, senders });
  const appends = new AppendHandler({}, modules);
  cluster.peers.handle("arrival", async (_from, body) => register.handle(body));
  cluster.peers.handle("append", (from, body) => appends.handle(from, body));
  return {
    writer: new Writer({
      ...modules,
      // Both wait a little for the records of a push that is being made ready.
      head: {
        announce: () => {
          head.announce();
          senders.announce();
        },
        arrived: () => {
          head.arrived();
          senders.arrived();
        },
      },
      arrivalAgreement: new ArrivalAgreement({ cluster, placement, register }),
      replicator: new Replicator({}, { ...modules, senders, placement, onUnkept: (identity, member) => hints.note(identity, member) }),
    }),
    stop: () => {
      hints.stop();
      senders.stop();
    },
  };
}
