/** `grpc-timeout`: how long the client of gRPC and gRPC-Web waits. */
import { CodedError, invalidArgument } from "@pyromesh/base";
import type { ApiRequest } from "../ports/http.ts";

/** Applies the time limit that the client set, in addition to the server's own. Throws GRPC_TIMEOUT_INVALID. */
export function applyGrpcTimeout(request: Pick<ApiRequest, "endAfter" | "headers">): void {
  const header = request.headers["grpc-timeout"];
  if (header === undefined || header === "") return;
  request.endAfter(
    timeoutMsOf(header),
    new CodedError({ code: "DEADLINE_EXCEEDED", kind: "deadline_exceeded", message: `the request took longer than its grpc-timeout of ${header}` }),
  );
}

const MS_BY_UNIT: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

function timeoutMsOf(header: string): number {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  if (digits === undefined || unit === undefined) {
    throw invalidArgument("GRPC_TIMEOUT_INVALID", `grpc-timeout is ${JSON.stringify(header.slice(0, 40))}: send at most 8 digits and one of H, M, S, m, u, n`);
  }
  return Math.ceil(Number(digits) * MS_BY_UNIT[unit]!);
}
