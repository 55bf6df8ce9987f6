/** The node profiles itself through the official SDK, over its own HTTP API. Only this file imports the SDK. */
import type { Logger } from "@pyromesh/base";

/** How often a profile is pushed. Short, so that the page has its first flame graph within a minute. */
const UPLOAD_INTERVAL_MS = 10_000;

export interface SelfProfile {
  stop(): Promise<void>;
}

/** Undefined where the SDK cannot be loaded (no prebuilt binary for this platform): the node then runs without a profile of itself. */
export async function startSelfProfile(url: string, logger: Logger): Promise<SelfProfile | undefined> {
  try {
    const { default: sdk } = await import("@pyroscope/nodejs");
    const pyroscope = "default" in sdk ? (sdk.default as typeof sdk) : sdk; // the package is CommonJS under a default
    const quiet = (...args: unknown[]): void => logger.debug("self-profile", { said: args.map(String).join(" ") });
    pyroscope.setLogger({ debug: quiet, info: quiet, error: quiet, warn: quiet } as never); // its logger type is not exported
    pyroscope.init({ serverAddress: url, appName: "pyromesh", flushIntervalMs: UPLOAD_INTERVAL_MS, wall: { collectCpuTime: true } });
    pyroscope.start();
    return { stop: () => pyroscope.stop() };
  } catch (error) {
    logger.warn("this node cannot profile itself here", { error });
    return undefined;
  }
}
