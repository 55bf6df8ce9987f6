/** The role `pod`: a target for each port that a container declares, and one without a port for a container that declares none. Pure. */
import type { LabelValues, TargetGroup } from "../discovery.ts";
import { containerLabels, joinAddress, podLabels, prefixed } from "./meta-labels.ts";
import type { Pod } from "./objects.ts";

/** No targets while the pod has no address. */
export function podGroup(pod: Pod): TargetGroup {
  if (pod.ip === "") return { targets: [], labels: {} };
  const targets = pod.containers.flatMap((container): LabelValues[] => {
    if (container.ports.length === 0) return [{ __address__: pod.ip, ...containerLabels(container, undefined) }];
    return container.ports.map((port) => ({ __address__: joinAddress(pod.ip, port.number), ...containerLabels(container, port) }));
  });
  return { targets, labels: { ...prefixed("", { namespace: pod.meta.namespace }), ...podLabels(pod) } };
}
