/**
 * The roles `endpoints` and `endpointslice`: a target for each address and port of a service, with the labels of the pod behind it; and one for
 * each further port that the containers of these pods declare. Pure.
 */
import type { LabelValues, TargetGroup } from "../discovery.ts";
import { containerPortLabels, joinAddress, metaLabels, podLabels, prefixed, safeName } from "./meta-labels.ts";
import type { Endpoints, EndpointSlice, Pod, Service, TargetReference } from "./objects.ts";

/** What a group was made of besides its own object. */
export interface Related {
  readonly service: Service | undefined;
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, Pod>;
}

export function endpointsGroup(endpoints: Endpoints, related: Related): TargetGroup {
  const targets = new PodTargets(related.pods);
  for (const { addresses, ports } of endpoints.subsets) {
    for (const port of ports) {
      for (const address of addresses) {
        const labels = {
          ...prefixed("endpoint_", { port_name: port.name, port_protocol: port.protocol, ready: String(address.isReady), node_name: address.nodeName, hostname: address.hostname }),
          ...referenceLabels("endpoint_address_target_", address.target),
        };
        targets.add({ address: address.ip, labels, reference: address.target }, port);
      }
    }
  }
  return { targets: targets.all(), labels: groupLabels("endpoints", endpoints, related) };
}

export function endpointSliceGroup(slice: EndpointSlice, related: Related): TargetGroup {
  const labels = { ...groupLabels("endpointslice", slice, related), ...prefixed("endpointslice_", { address_type: slice.addressType }) };
  if (isOfSecondFamily(slice, related.service)) return { targets: [], labels };
  const targets = new PodTargets(related.pods);
  for (const port of slice.ports) {
    for (const endpoint of slice.endpoints) {
      const own = {
        ...prefixed("endpointslice_", { port: port.number === 0 ? "" : String(port.number), port_name: port.name, port_protocol: port.protocol, port_app_protocol: port.appProtocol }),
        ...prefixed("endpointslice_endpoint_", {
          conditions_ready: endpoint.ready,
          conditions_serving: endpoint.serving,
          conditions_terminating: endpoint.terminating,
          hostname: endpoint.hostname,
          node_name: endpoint.nodeName,
          zone: endpoint.zone,
        }),
        ...topologyLabels(endpoint.topology),
        ...referenceLabels("endpointslice_address_target_", endpoint.target),
      };
      for (const address of endpoint.addresses) targets.add({ address, labels: own, reference: endpoint.target }, { number: port.number, protocol: undefined });
    }
  }
  return { targets: targets.all(), labels };
}

/** A service with addresses of both families has slices of each, with the same pods: those of its first family alone make targets. */
function isOfSecondFamily(slice: EndpointSlice, service: Service | undefined): boolean {
  const first = service?.ipFamilies[0];
  return service?.isDualStack === true && first !== undefined && slice.addressType !== first;
}

/** The keys of the pods that a group is made of. */
export function podKeysOf(object: Endpoints | EndpointSlice): string[] {
  const references = "subsets" in object ? object.subsets.flatMap(({ addresses }) => addresses.map(({ target }) => target)) : object.endpoints.map(({ target }) => target);
  return references.flatMap((reference) => (reference?.kind === "Pod" ? [`${reference.namespace}/${reference.name}`] : []));
}

/** The name of the service that an object belongs to, in the same namespace. */
export function serviceKeyOf(object: Endpoints | EndpointSlice): string {
  const name = "subsets" in object ? object.meta.name : (object.meta.labels["kubernetes.io/service-name"] ?? "");
  return `${object.meta.namespace}/${name}`;
}

function groupLabels(kind: string, { meta }: Endpoints | EndpointSlice, { service }: Related): LabelValues {
  return { ...prefixed("", { namespace: meta.namespace }), ...metaLabels(kind, meta), ...(service === undefined ? {} : metaLabels("service", service.meta)) };
}

function referenceLabels(prefix: string, reference: TargetReference | undefined): LabelValues {
  return reference === undefined ? {} : prefixed(prefix, { kind: reference.kind, name: reference.name });
}

function topologyLabels(topology: LabelValues): LabelValues {
  const entries = Object.entries(topology).map(([key, value]) => [safeName(key), value] as const);
  return { ...prefixed(TOPOLOGY, Object.fromEntries(entries)), ...prefixed(`${TOPOLOGY}present_`, Object.fromEntries(entries.map(([key]) => [key, "true"]))) };
}

const TOPOLOGY = "endpointslice_endpoint_topology_";

interface Endpoint {
  readonly address: string;
  readonly labels: LabelValues;
  readonly reference: TargetReference | undefined;
}

/** Targets of the addresses of a service, and the pods among them. */
class PodTargets {
  readonly #pods: ReadonlyMap<string, Pod>;
  readonly #targets: LabelValues[] = [];
  /** Each pod that an address stands for, with the ports that are targets already. */
  readonly #seen = new Map<Pod, Set<number>>();

  constructor(pods: ReadonlyMap<string, Pod>) {
    this.#pods = pods;
  }

  /** Port number 0: of no port. A `protocol` takes the place of the one that the container declares. */
  add({ address, labels, reference }: Endpoint, port: { readonly number: number; readonly protocol: string | undefined }): void {
    const own = { __address__: port.number === 0 ? address : joinAddress(address, port.number), ...labels };
    const pod = reference?.kind === "Pod" ? this.#pods.get(`${reference.namespace}/${reference.name}`) : undefined;
    if (pod === undefined) {
      this.#targets.push(own);
      return;
    }
    const seenPorts = this.#seen.get(pod) ?? new Set();
    this.#seen.set(pod, seenPorts.add(port.number));
    // Of several containers that declare the port Prometheus takes the last; of one that declares it for several protocols, the first.
    const container = pod.containers.findLast(({ ports }) => ports.some(({ number }) => number === port.number));
    const declared = container?.ports.find(({ number }) => number === port.number);
    const ofContainer = container === undefined || declared === undefined ? {} : containerPortLabels(container, { ...declared, protocol: port.protocol ?? declared.protocol });
    this.#targets.push({ ...own, ...podLabels(pod), ...ofContainer });
  }

  all(): readonly LabelValues[] {
    const further = [...this.#seen].flatMap(([pod, seenPorts]) =>
      pod.ip === ""
        ? []
        : pod.containers.flatMap((container) =>
            container.ports
              .filter(({ number }) => !seenPorts.has(number))
              .map((port) => ({ __address__: joinAddress(pod.ip, port.number), ...podLabels(pod), ...containerPortLabels(container, port) })),
          ),
    );
    return [...this.#targets, ...further];
  }
}
