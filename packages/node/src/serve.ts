/** `pyromesh serve`: a node in the real world, the signals that end it, and what a process shows and profiles of itself. */
import { composeNode, STOP_TIMEOUT_MS } from "./compose-node.ts";
import type { Config } from "./config/config.ts";
import { printAddress } from "./config/setting.ts";
import { watchEventLoopLag } from "./process/event-loop-lag.ts";
import { addProcessMetrics } from "./process/process-metrics.ts";
import { startSelfProfile } from "./process/self-profile.ts";
import type { SelfProfile } from "./process/self-profile.ts";
import { stopOnSignals } from "./process/stop-signals.ts";
import { realWorld } from "./real-world.ts";
import type { World } from "./world.ts";

/** `load` reads the settings anew, with another text in the configuration file. */
export async function runServe(config: Config, load: (fileText: string) => Config): Promise<void> {
  const world: World = {
    ...realWorld(config, load),
    // The stop that a signal makes is the one that there is.
    onLeft: () => void process.kill(process.pid, "SIGTERM"),
  };
  const { clock, logger, metrics } = world;
  const node = await composeNode(config, world);
  addProcessMetrics({ metrics, clock, openFilesMax: world.machine.openFilesMax });
  const lag = watchEventLoopLag(metrics);
  let selfProfile: Promise<SelfProfile | undefined> | undefined;
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    const profiling = await selfProfile;
    await profiling?.stop().catch((error: unknown) => logger.debug("self-profile did not stop cleanly", { error }));
    await node.stop();
  };
  // Before it says that it listens: whoever waits for that may send a signal at once.
  const stopped = stopOnSignals(() => (stopping ??= stop()), { timeoutMs: STOP_TIMEOUT_MS }, { clock, logger, signals: process, exit: (code) => process.exit(code) });
  try {
    await node.start();
    if (config.isSelfProfiling && stopping === undefined) selfProfile = startSelfProfile(urlFromHere(config.httpAddress.host, node.port!), logger);
    await stopped;
  } catch (error) {
    // A start that a signal ended did not fail: the stop goes on, and ends the process.
    if (stopping === undefined) throw error;
    await stopped;
  } finally {
    lag.stop();
  }
}

/** Such an address is no place to send anything to, and no `Host` that this node answers to. */
const EVERY_INTERFACE: ReadonlySet<string> = new Set(["", "0.0.0.0", "::"]);

function urlFromHere(host: string, port: number): string {
  return `http://${printAddress({ host: EVERY_INTERFACE.has(host) ? "127.0.0.1" : host, port })}`;
}
