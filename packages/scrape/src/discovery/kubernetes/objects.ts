/**
 * Objects of the Kubernetes API, narrowed to what makes labels: the rest of each is dropped at once, so that memory holds a small part of what
 * the server sends. What is missing reads as empty, as the API leaves empty fields out. Pure.
 */

export interface ObjectMeta {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Of the owner that is the controller. */
  readonly controllerKind: string;
  readonly controllerName: string;
}

export interface Pod {
  readonly meta: ObjectMeta;
  /** "" while it starts, and after it was evicted. */
  readonly ip: string;
  readonly hostIp: string;
  readonly nodeName: string;
  readonly phase: string;
  /** "true", "false" or "unknown". */
  readonly ready: string;
  /** Those that initialise come last. */
  readonly containers: readonly Container[];
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly id: string;
  readonly isInit: boolean;
  readonly ports: readonly ContainerPort[];
}

export interface ContainerPort {
  readonly name: string;
  readonly number: number;
  readonly protocol: string;
}

export interface Service {
  readonly meta: ObjectMeta;
  /** It has, or may have, addresses of IPv4 and IPv6. */
  readonly isDualStack: boolean;
  /** "IPv4", "IPv6": the first one is that of its cluster address. */
  readonly ipFamilies: readonly string[];
}

export interface Endpoints {
  readonly meta: ObjectMeta;
  readonly subsets: readonly { readonly addresses: readonly EndpointAddress[]; readonly ports: readonly EndpointPort[] }[];
}

export interface EndpointAddress {
  readonly ip: string;
  readonly isReady: boolean;
  readonly hostname: string;
  readonly nodeName: string;
  readonly target: TargetReference | undefined;
}

export interface EndpointPort {
  readonly name: string;
  readonly number: number;
  readonly protocol: string;
  readonly appProtocol: string;
}

export interface TargetReference {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface EndpointSlice {
  readonly meta: ObjectMeta;
  readonly addressType: string;
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly SliceEndpoint[];
}

export interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly hostname: string;
  readonly nodeName: string;
  readonly zone: string;
  /** "true", "false", or "" where nothing is said. */
  readonly ready: string;
  readonly serving: string;
  readonly terminating: string;
  /** Of slices that were written by the API's version before v1. */
  readonly topology: Readonly<Record<string, string>>;
  readonly target: TargetReference | undefined;
}

export function readPod(value: unknown): Pod {
  const [spec, status] = [field(value, "spec"), field(value, "status")];
  const condition = list(status, "conditions").find((one) => text(one, "type") === "Ready");
  return {
    meta: readMeta(value),
    ip: text(status, "podIP"),
    hostIp: text(status, "hostIP"),
    nodeName: text(spec, "nodeName"),
    phase: text(status, "phase"),
    ready: condition === undefined ? "unknown" : text(condition, "status").toLowerCase(),
    containers: [...readContainers(spec, status, false), ...readContainers(spec, status, true)],
  };
}

function readContainers(spec: unknown, status: unknown, isInit: boolean): Container[] {
  const statuses = list(status, isInit ? "initContainerStatuses" : "containerStatuses");
  return list(spec, isInit ? "initContainers" : "containers").map((container) => {
    const name = text(container, "name");
    return {
      name,
      image: text(container, "image"),
      id: text(statuses.find((one) => text(one, "name") === name), "containerID"),
      isInit,
      ports: list(container, "ports").map((port) => ({ name: text(port, "name"), number: number(port, "containerPort"), protocol: text(port, "protocol") })),
    };
  });
}

export function readService(value: unknown): Service {
  const spec = field(value, "spec");
  return {
    meta: readMeta(value),
    isDualStack: ["PreferDualStack", "RequireDualStack"].includes(text(spec, "ipFamilyPolicy")),
    ipFamilies: list(spec, "ipFamilies").filter((family) => typeof family === "string"),
  };
}

export function readEndpoints(value: unknown): Endpoints {
  const subsets = list(value, "subsets").map((subset) => ({
    addresses: [...list(subset, "addresses").map((address) => readAddress(address, true)), ...list(subset, "notReadyAddresses").map((address) => readAddress(address, false))],
    ports: list(subset, "ports").map(readPort),
  }));
  return { meta: readMeta(value), subsets };
}

function readAddress(value: unknown, isReady: boolean): EndpointAddress {
  return { ip: text(value, "ip"), isReady, hostname: text(value, "hostname"), nodeName: text(value, "nodeName"), target: readReference(value) };
}

export function readEndpointSlice(value: unknown): EndpointSlice {
  const endpoints = list(value, "endpoints").map((endpoint): SliceEndpoint => {
    const conditions = field(endpoint, "conditions");
    return {
      addresses: list(endpoint, "addresses").filter((address) => typeof address === "string"),
      hostname: text(endpoint, "hostname"),
      nodeName: text(endpoint, "nodeName"),
      zone: text(endpoint, "zone"),
      ready: claim(conditions, "ready"),
      serving: claim(conditions, "serving"),
      terminating: claim(conditions, "terminating"),
      topology: texts(field(endpoint, "deprecatedTopology")),
      target: readReference(endpoint),
    };
  });
  return { meta: readMeta(value), addressType: text(value, "addressType"), ports: list(value, "ports").map(readPort), endpoints };
}

function readPort(value: unknown): EndpointPort {
  return { name: text(value, "name"), number: number(value, "port"), protocol: text(value, "protocol"), appProtocol: text(value, "appProtocol") };
}

function readReference(value: unknown): TargetReference | undefined {
  const reference = field(value, "targetRef");
  return reference === undefined ? undefined : { kind: text(reference, "kind"), namespace: text(reference, "namespace"), name: text(reference, "name") };
}

function readMeta(value: unknown): ObjectMeta {
  const meta = field(value, "metadata");
  const controller = list(meta, "ownerReferences").find((owner) => field(owner, "controller") === true);
  return {
    namespace: text(meta, "namespace"),
    name: text(meta, "name"),
    uid: text(meta, "uid"),
    labels: texts(field(meta, "labels")),
    annotations: texts(field(meta, "annotations")),
    controllerKind: text(controller, "kind"),
    controllerName: text(controller, "name"),
  };
}

/** The version of an object or of a list, from which a watch goes on. */
export function resourceVersionOf(value: unknown): string {
  return text(field(value, "metadata"), "resourceVersion");
}

/** `namespace/name`: unique among the objects of a kind. */
export function objectKey({ meta }: { readonly meta: ObjectMeta }): string {
  return `${meta.namespace}/${meta.name}`;
}

// --- fields of what came as JSON ---------------------------------------------------------------------------------------

export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name) ? ((value as Record<string, unknown>)[name] ?? undefined) : undefined;
}

export function text(value: unknown, name: string): string {
  const found = field(value, name);
  return typeof found === "string" ? found : "";
}

export function list(value: unknown, name: string): readonly unknown[] {
  const found = field(value, name);
  return Array.isArray(found) ? found : [];
}

function number(value: unknown, name: string): number {
  const found = field(value, name);
  return typeof found === "number" && Number.isInteger(found) ? found : 0;
}

function claim(value: unknown, name: string): string {
  const found = field(value, name);
  return typeof found === "boolean" ? String(found) : "";
}

function texts(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}
