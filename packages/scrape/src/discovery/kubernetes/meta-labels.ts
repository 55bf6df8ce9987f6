/** The `__meta_kubernetes_*` labels of an object, in Prometheus' names. An empty value is no label. Pure. */
import type { LabelValues } from "../discovery.ts";
import type { Container, ObjectMeta, Pod } from "./objects.ts";

export type Values = Record<string, string>;

const PREFIX = "__meta_kubernetes_";

/** Name, labels and annotations: `__meta_kubernetes_pod_label_app`, and with `present` whether there is one, even an empty one. */
export function metaLabels(kind: string, { name, labels, annotations }: ObjectMeta): Values {
  const values: Values = { [`${PREFIX}${kind}_name`]: name };
  for (const [what, entries] of [["label", labels], ["annotation", annotations]] as const) {
    for (const [key, value] of Object.entries(entries)) {
      const safe = key.replace(/[^a-zA-Z0-9_]/g, "_");
      values[`${PREFIX}${kind}_${what}_${safe}`] = value;
      values[`${PREFIX}${kind}_${what}present_${safe}`] = "true";
    }
  }
  return values;
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

/** `port` is one of the container's; undefined: it has none. */
export function containerLabels(container: Container, port: Container["ports"][number] | undefined): Values {
  return prefixed("pod_container_", {
    name: container.name,
    id: container.id,
    image: container.image,
    init: String(container.isInit),
    ...(port === undefined ? {} : { port_name: port.name, port_number: String(port.number), port_protocol: port.protocol }),
  });
}

/** Empty values are left out. */
export function prefixed(prefix: string, values: LabelValues): Values {
  return Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (value === "" ? [] : [[`${PREFIX}${prefix}${name}`, value]])));
}

/** An IPv6 address stands in square brackets. */
export function joinAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
