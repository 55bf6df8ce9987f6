/**
 * grpc.health.v1.Health: whether the node is ready, in gRPC's own words. SERVING is the 200 of `/ready`.
 *
 * `Watch` sends the status at once and whenever it has changed; it looks once in a second, as nothing tells when readiness changes.
 */
import { CodedError } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import { unaryHandler } from "../bodies/connect.ts";
import type { ConnectOptions } from "../bodies/connect.ts";
import type { NodeAdmin } from "../ports/ports.ts";
import type { Route } from "../ports/route.ts";
import type { StreamCall } from "../ports/stream-call.ts";
import { decodeBinary, encodeBinary, REQUEST_ITEM_COUNT_MAX } from "../proto/binary.ts";
import * as health from "../proto/grpc-health-v1.ts";
import { streamRpc, unaryRpc } from "../rpc/unary-rpc.ts";

interface HealthModules {
  readonly admin: Pick<NodeAdmin, "notReadyBecause">;
  readonly clock: Clock;
}

export const HEALTH_SERVICE = "grpc.health.v1.Health";

/** `services`: those that the node has. All of them are as ready as the node. */
export function healthRoutes(options: ConnectOptions & { readonly services: ReadonlySet<string> }, { admin, clock }: HealthModules): readonly Route[] {
  const statusOf = (service: string): number => {
    if (service !== "" && !options.services.has(service)) return health.SERVICE_UNKNOWN;
    return admin.notReadyBecause() === undefined ? health.SERVING : health.NOT_SERVING;
  };
  const check = async ({ service }: health.HealthCheckRequest): Promise<{ readonly message: health.HealthCheckResponse; readonly headers: Readonly<Record<string, string>> }> => {
    const status = statusOf(service);
    if (status === health.SERVICE_UNKNOWN) throw serviceUnknown(service);
    return { message: { status }, headers: {} };
  };
  const watch = async (call: StreamCall): Promise<void> => {
    const { service } = decodeBinary(health.HEALTH_CHECK_REQUEST, (await call.receive()) ?? new Uint8Array(0), REQUEST_ITEM_COUNT_MAX);
    let told: number | undefined;
    for (;;) {
      const status = statusOf(service);
      if (status !== told) await call.send(encodeBinary(health.HEALTH_CHECK_RESPONSE, { status }));
      told = status;
      await clock.sleep(LOOK_MS, call.signal);
    }
  };
  const path = `/${HEALTH_SERVICE}/Check`;
  return [
    ...unaryRpc(path, unaryHandler({ path, request: health.HEALTH_CHECK_REQUEST, response: health.HEALTH_CHECK_RESPONSE, handle: check }, options), { isQuery: true, isProbe: true }),
    streamRpc(`/${HEALTH_SERVICE}/Watch`, watch),
  ];
}

const LOOK_MS = 1_000;

function serviceUnknown(service: string): CodedError {
  return new CodedError({ code: "SERVICE_UNKNOWN", kind: "not_found", message: `this node has no service ${JSON.stringify(service.slice(0, 200))}: leave the name empty to ask for the node` });
}
