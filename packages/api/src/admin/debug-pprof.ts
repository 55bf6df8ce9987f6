/**
 * `/debug/pprof/`: profiles of this process at the paths that Go programs have, for instance `go tool pprof
 * http://127.0.0.1:4040/debug/pprof/profile?seconds=5`. For operators only.
 */
import { CodedError, invalidArgument } from "@pyromesh/base";
import type { ApiReply, Handler } from "../ports/http.ts";
import type { DebugProfileKind, DebugProfiler } from "../ports/ports.ts";
import { route } from "../ports/route.ts";
import type { Route } from "../ports/route.ts";

/** Below the time limit of requests (120 s). Nobody else can take a profile meanwhile. */
const SECONDS_MAX = 60;

interface Place {
  readonly kind: DebugProfileKind;
  readonly path: string;
  readonly secondsDefault: number;
  readonly help: string;
}

const PLACES: readonly Place[] = [
  { kind: "cpu", path: "profile", secondsDefault: 30, help: "CPU time of the main thread by function; of all other threads together" },
  { kind: "wall", path: "wall", secondsDefault: 30, help: "time that the main thread spent, by function" },
  { kind: "heap", path: "heap", secondsDefault: 10, help: "what the main thread allocated in that time and still holds" },
];

export function debugPprofRoutes(profiler: DebugProfiler): readonly Route[] {
  const operator = { isOperator: true } as const;
  return [
    route("GET", "/debug/pprof", () => Promise.resolve({ status: 302, headers: { location: "/debug/pprof/" }, body: "" }), operator),
    route("GET", "/debug/pprof/", () => Promise.resolve(INDEX), operator),
    ...PLACES.map((place) => route("GET", `/debug/pprof/${place.path}`, profileHandler(place, profiler), operator)),
    route("GET", "/debug/pprof/*", () => Promise.reject(unknown()), operator),
  ];
}

function profileHandler({ kind, path, secondsDefault }: Place, profiler: DebugProfiler): Handler {
  return async ({ query, signal }) => ({
    status: 200,
    headers: { "content-type": "application/octet-stream", "content-disposition": `attachment; filename="${path}.pb.gz"`, "cache-control": "no-store" },
    body: await profiler.profile(kind, readSeconds(query.get("seconds"), secondsDefault), signal),
  });
}

function readSeconds(text: string | null, byDefault: number): number {
  if (text === null || text === "") return byDefault;
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (seconds < 1 || seconds > SECONDS_MAX) throw invalidArgument("SECONDS_INVALID", `seconds is ${JSON.stringify(text.slice(0, 40))}: send a whole number from 1 to ${SECONDS_MAX}`);
  return seconds;
}

function unknown(): CodedError {
  const places = PLACES.map(({ path }) => `/debug/pprof/${path}`).join(", ");
  return new CodedError({ code: "DEBUG_PROFILE_UNKNOWN", kind: "not_found", message: `there is no such profile here: ask for one of ${places}` });
}

/** A constant page: nothing in it comes from a request. */
const INDEX: ApiReply = {
  status: 200,
  headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": "default-src 'none'; frame-ancestors 'none'", "x-frame-options": "DENY" },
  body: `<!doctype html>
<html lang="en">
<title>/debug/pprof/</title>
<h1>Profiles of this process</h1>
<p>Each is a gzipped pprof of the time after the request, <code>seconds</code> from 1 to ${SECONDS_MAX}; one at a time.</p>
<ul>
${PLACES.map(({ path, secondsDefault, help }) => `<li><a href="${path}?seconds=${secondsDefault}">${path}</a>: ${help}</li>`).join("\n")}
</ul>
</html>
`,
};
