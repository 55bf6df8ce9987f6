/** The `__meta_kubernetes_*` labels of an object, in Prometheus' names. An empty value is no label. Pure. */
import type { LabelValues } from "../discovery.ts";
import type { Container, ContainerPort, ObjectMeta, Pod } from "./objects.ts";

export type Values = Record<string, string>;

const PREFIX = "__meta_kubernetes_";

/** Name, labels and annotations: `__meta_kubernetes_pod_label_app`, and with `present` whether there is one, even an empty one. */
export function metaLabels(kind: string, { name, labels, annotations }: ObjectMeta): Values {
  const values: Values = { [`${PREFIX}${kind}_name`]: name };
  for (const [what, entries] of [["label", labels], ["annotation", annotations]] as const) {
    for (const [key, value] of Object.entries(entries)) {
      const safe = safeName(key);
      values[`${PREFIX}${kind}_${what}_${safe}`] = value;
      values[`${PREFIX}${kind}_${what}present_${safe}`] = "true";
    }
  }
  return values;
}

/** A key as a part of the name of a label. */
export function safeName(key: string): string {
  return key.replace(/[^a-zA-Z0-9_]/g, "_");
}

export function podLabels(pod: Pod): Values {
  return {
    ...metaLabels("pod", pod.meta),
    ...prefixed("pod_", {
      ip: pod.ip,
      ready: pod.ready,
      phase: pod.phase,
      node_name: pod.nodeName,
      host_ip: pod.hostIp,
      uid: pod.meta.uid,
      controller_kind: pod.meta.controllerKind,
      controller_name: pod.meta.controllerName,
    }),
  };
}

/** Of the role `pod`. `port` is one of the container's; undefined: it has none. */
export function containerLabels(container: Container, port: ContainerPort | undefined): Values {
  return { ...ofContainer(container), ...prefixed("pod_container_", { id: container.id }), ...(port === undefined ? {} : ofPort(port)) };
}

/** Of the roles of services, for which Prometheus leaves out the container's id. */
export function containerPortLabels(container: Container, port: ContainerPort): Values {
  return { ...ofContainer(container), ...ofPort(port) };
}

function ofContainer({ name, image, isInit }: Container): Values {
  return prefixed("pod_container_", { name, image, init: String(isInit) });
}

function ofPort({ name, number, protocol }: ContainerPort): Values {
  return prefixed("pod_container_port_", { name, number: String(number), protocol });
}

/** Empty values are left out. */
export function prefixed(prefix: string, values: LabelValues): Values {
  return Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (value === "" ? [] : [[`${PREFIX}${prefix}${name}`, value]])));
}

/** An IPv6 address stands in square brackets. */
export function joinAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
