/**
 * Targets of pods, endpoints or endpoint slices of a Kubernetes cluster. The kinds that a role needs are watched; the groups of a namespace are
 * told once all of them were listed there, since a target that lacks the labels of its pod would be another target. A namespace that this node may
 * not read keeps no other one waiting.
 */
import { messageOf, retryDelayMs, unreachable } from "@pyromesh/base";
import type { Timer } from "@pyromesh/base";
import type { KubernetesConfig, KubernetesSelector } from "../../config/scrape-config.ts";
import type { Discovery, DiscoveryModules, TargetGroup } from "../discovery.ts";
import { SourceHealth } from "../source-health.ts";
import { ApiClient, apiServerOf, OWN_NAMESPACE_FILE } from "./api-client.ts";
import { endpointsGroup, endpointSliceGroup, podKeysOf, serviceKeyOf } from "./endpoint-groups.ts";
import type { Related } from "./endpoint-groups.ts";
import { objectKey, readEndpoints, readEndpointSlice, readPod, readService } from "./objects.ts";
import type { Endpoints, EndpointSlice, ObjectMeta, Pod, Service } from "./objects.ts";
import { podGroup } from "./pod-groups.ts";
import { ResourceWatch } from "./resource-watch.ts";

/** Changes that come within this time are told together: a rollout changes many objects at once. */
const GATHER_MS = 500;
const RETRY = { firstMs: 1000, maxMs: 30_000 };

export function kubernetesDiscovery(config: KubernetesConfig, modules: DiscoveryModules): Discovery {
  return new KubernetesDiscovery(config, modules);
}

class KubernetesDiscovery implements Discovery {
  readonly #config: KubernetesConfig;
  readonly #modules: DiscoveryModules & { readonly api: ApiClient };
  readonly #stopped = new AbortController();
  readonly #watches: ResourceWatch<{ readonly meta: ObjectMeta }>[] = [];
  /** Of each namespace, or one of all of them. */
  #kinds: readonly Kinds[] = [];
  /** Of the objects that made them: a group whose objects are the same is the same. */
  #made = new Map<string, Made>();
  #onGroups: ((groups: readonly TargetGroup[]) => void) | undefined;
  #gathering: Timer | undefined;

  constructor(config: KubernetesConfig, modules: DiscoveryModules) {
    this.#config = config;
    this.#modules = { ...modules, api: new ApiClient(apiServerOf(config), modules.fetch) };
  }

  start(onGroups: (groups: readonly TargetGroup[]) => void): void {
    this.#onGroups = onGroups;
    void this.#open();
  }

  stop(): void {
    this.#stopped.abort();
    this.#gathering?.cancel();
    for (const watch of this.#watches.toReversed()) watch.stop();
  }

  async #open(): Promise<void> {
    const namespaces = await this.#namespaces();
    if (this.#stopped.signal.aborted) return;
    this.#kinds = namespaces.map((namespace) => this.#kindsOf(namespace));
    for (const one of this.#watches) one.start();
  }

  #kindsOf(namespace: string): Kinds {
    const watch = <T extends { readonly meta: ObjectMeta }>(role: KubernetesSelector["role"], read: (value: unknown) => T): ResourceWatch<T> => {
      const query = queryOf(this.#config.selectors.filter((selector) => selector.role === role));
      const made = new ResourceWatch({ path: pathOf(role, namespace), query, read }, () => this.#gather(), this.#modules);
      this.#watches.push(made);
      return made;
    };
    const pods = watch("pod", readPod);
    const { role } = this.#config;
    switch (role) {
      case "pod":
        return { role, pods };
      case "endpoints":
        return { role, pods, services: watch("service", readService), objects: watch("endpoints", readEndpoints) };
      case "endpointslice":
        return { role, pods, services: watch("service", readService), objects: watch("endpointslice", readEndpointSlice) };
      default:
        return unreachable(role);
    }
  }

  /** [""] for all. The own one is in a file, which is tried again until it is there. */
  async #namespaces(): Promise<readonly string[]> {
    const { namespaces, isOwnNamespaceIncluded } = this.#config;
    if (!isOwnNamespaceIncluded) return namespaces.length === 0 ? [""] : [...new Set(namespaces)];
    const { clock, files } = this.#modules;
    const health = new SourceHealth({ mechanism: "kubernetes", source: OWN_NAMESPACE_FILE }, this.#modules);
    for (let failureCount = 1; !this.#stopped.signal.aborted; failureCount++) {
      try {
        const own = (await files.read(OWN_NAMESPACE_FILE)).trim();
        health.works();
        return [...new Set([...namespaces, own])];
      } catch (thrown) {
        health.failed(new Error(`the namespace of this node's pod is not known: ${messageOf(thrown)}`, { cause: thrown }));
        await clock.sleep(retryDelayMs(failureCount, RETRY), this.#stopped.signal).catch(() => undefined);
      }
    }
    return [];
  }

  #gather(): void {
    if (this.#stopped.signal.aborted || this.#gathering !== undefined || !this.#kinds.some(isListed)) return;
    this.#gathering = this.#modules.clock.after(GATHER_MS, () => {
      this.#gathering = undefined;
      this.#tell();
    });
  }

  #tell(): void {
    const before = this.#made;
    this.#made = new Map();
    for (const { key, objects, make } of this.#kinds.filter(isListed).flatMap(sourcesOf)) {
      const known = before.get(key);
      const isSame = known !== undefined && known.objects.length === objects.length && objects.every((object, index) => object === known.objects[index]);
      this.#made.set(key, isSame ? known : { objects, group: make() });
    }
    this.#onGroups?.([...this.#made.values()].map(({ group }) => group).filter(({ targets }) => targets.length > 0));
  }
}

interface Made {
  readonly objects: readonly unknown[];
  readonly group: TargetGroup;
}

/** What is watched for a role, in one namespace or in all. */
type Kinds =
  | { readonly role: "pod"; readonly pods: ResourceWatch<Pod> }
  | { readonly role: "endpoints"; readonly pods: ResourceWatch<Pod>; readonly services: ResourceWatch<Service>; readonly objects: ResourceWatch<Endpoints> }
  | { readonly role: "endpointslice"; readonly pods: ResourceWatch<Pod>; readonly services: ResourceWatch<Service>; readonly objects: ResourceWatch<EndpointSlice> };

function isListed(kinds: Kinds): boolean {
  return kinds.pods.isListed && (kinds.role === "pod" || (kinds.services.isListed && kinds.objects.isListed));
}

interface Source {
  readonly key: string;
  readonly objects: readonly unknown[];
  readonly make: () => TargetGroup;
}

function sourcesOf(kinds: Kinds): Source[] {
  const pods = kinds.pods.objects;
  if (kinds.role === "pod") return [...pods.values()].map((pod) => ({ key: objectKey(pod), objects: [pod], make: () => podGroup(pod) }));
  const services = kinds.services.objects;
  const sourceOf = <T extends Endpoints | EndpointSlice>(object: T, make: (object: T, related: Related) => TargetGroup): Source => {
    const service = services.get(serviceKeyOf(object));
    const behind = podKeysOf(object).map((key) => pods.get(key));
    return { key: objectKey(object), objects: [object, service, ...behind], make: () => make(object, { service, pods }) };
  };
  if (kinds.role === "endpoints") return [...kinds.objects.objects.values()].map((object) => sourceOf(object, endpointsGroup));
  return [...kinds.objects.objects.values()].map((object) => sourceOf(object, endpointSliceGroup));
}

function queryOf(selectors: readonly KubernetesSelector[]): Readonly<Record<string, string>> {
  const [label, field] = [selectors.flatMap((selector) => selector.label ?? []), selectors.flatMap((selector) => selector.field ?? [])];
  return { ...(label.length === 0 ? {} : { labelSelector: label.join(",") }), ...(field.length === 0 ? {} : { fieldSelector: field.join(",") }) };
}

function pathOf(role: KubernetesSelector["role"], namespace: string): string {
  const [api, plural] = PATHS[role];
  return `${api}${namespace === "" ? "" : `/namespaces/${namespace}`}/${plural}`;
}

const PATHS: Readonly<Record<KubernetesSelector["role"], readonly [string, string]>> = {
  pod: ["/api/v1", "pods"],
  service: ["/api/v1", "services"],
  endpoints: ["/api/v1", "endpoints"],
  endpointslice: ["/apis/discovery.k8s.io/v1", "endpointslices"],
};
