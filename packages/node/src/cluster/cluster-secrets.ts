/** The secrets of the cluster in force: the file is read again while the node runs, so that a secret can be replaced without a restart. */
import { messageOf } from "@pyromesh/base";
import type { Clock, Logger, Timer } from "@pyromesh/base";

export interface ClusterSecretsModules {
  /** Reads and checks the file. Undefined: the cluster has no secret. */
  readonly load: (() => Promise<readonly Uint8Array[]>) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const RELOAD_INTERVAL_MS = 10_000;

export class ClusterSecrets {
  readonly #modules: ClusterSecretsModules;
  #inForce: readonly Uint8Array[] = [];
  #timer: Timer | undefined;
  #isStopped = false;

  private constructor(modules: ClusterSecretsModules) {
    this.#modules = modules;
  }

  /** Rejects where the file cannot be read or holds no secret. */
  static async open(modules: ClusterSecretsModules): Promise<ClusterSecrets> {
    const secrets = new ClusterSecrets(modules);
    if (modules.load !== undefined) {
      secrets.#inForce = await modules.load();
      secrets.#reloadLater(modules.load);
    }
    return secrets;
  }

  /** None, or the current one and perhaps another that is valid too. */
  get inForce(): readonly Uint8Array[] {
    return this.#inForce;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #reloadLater(load: () => Promise<readonly Uint8Array[]>): void {
    const { clock, logger } = this.#modules;
    if (this.#isStopped) return;
    this.#timer = clock.after(RELOAD_INTERVAL_MS, () => {
      load()
        .then((secrets) => (this.#inForce = secrets))
        .catch((error: unknown) => logger.warn("the cluster's secret could not be read again; the one before stays in force", { reason: messageOf(error) }))
        .finally(() => this.#reloadLater(load));
    });
  }
}
