// What a pod is doing, as the STATUS, READY and RESTARTS columns of kubectl say it.

import type { Container, ContainerState, Pod } from "../api/types";

/** How a state is to be taken: it decides colour and shape. */
export type Tone = "good" | "busy" | "bad" | "done";

export interface PodSummary {
  status: string;
  tone: Tone;
  ready: number;
  containers: number;
  restarts: number;
}

const NODE_LOST = "NodeLost";

function isSidecar(container: Container | undefined): boolean {
  return container?.restartPolicy === "Always";
}

function condition(pod: Pod, type: string) {
  return pod.status?.conditions?.find((one) => one.type === type);
}

function ending(terminated: NonNullable<ContainerState["terminated"]>): string {
  if (terminated.reason) return terminated.reason;
  return terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`;
}

interface Counts {
  ready: number;
  restarts: number;
}

/** Where initialisation stands; nothing once it is over. */
function initialising(pod: Pod, counts: Counts): string | undefined {
  const specs = new Map((pod.spec.initContainers ?? []).map((one) => [one.name, one]));
  let sidecarRestarts = 0;
  for (const [index, status] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const sidecar = isSidecar(specs.get(status.name));
    counts.restarts += status.restartCount;
    if (sidecar) sidecarRestarts += status.restartCount;
    const { terminated, waiting } = status.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (sidecar && status.started) {
      if (status.ready) counts.ready += 1;
      continue;
    }
    if (terminated) return `Init:${ending(terminated)}`;
    if (waiting?.reason && waiting.reason !== "PodInitializing") return `Init:${waiting.reason}`;
    return `Init:${index}/${specs.size}`;
  }
  counts.restarts = sidecarRestarts;
  return undefined;
}

/** The last container that has something to say says it. */
function running(pod: Pod, before: string, counts: Counts): string {
  let reason = before;
  let anyRuns = false;
  for (const status of [...(pod.status?.containerStatuses ?? [])].reverse()) {
    counts.restarts += status.restartCount;
    const { waiting, terminated, running } = status.state ?? {};
    if (waiting?.reason) reason = waiting.reason;
    else if (terminated) reason = ending(terminated);
    else if (status.ready && running) {
      anyRuns = true;
      counts.ready += 1;
    }
  }
  if (reason === "Completed" && anyRuns) {
    return condition(pod, "Ready")?.status === "True" ? "Running" : "NotReady";
  }
  return reason;
}

function toneOf(status: string, counts: Counts, containers: number): Tone {
  if (status === "Running") return counts.ready === containers ? "good" : "busy";
  if (status === "Completed" || status === "Succeeded") return "done";
  const fine = ["Pending", "ContainerCreating", "PodInitializing", "Terminating", "NotReady"];
  if (fine.includes(status) || status === "SchedulingGated" || /^Init:\d/.test(status)) {
    return "busy";
  }
  return "bad";
}

export function summarise(pod: Pod): PodSummary {
  const counts: Counts = { ready: 0, restarts: 0 };
  const phase = pod.status?.phase ?? "Unknown";
  let status = pod.status?.reason || phase;
  if (condition(pod, "PodScheduled")?.reason === "SchedulingGated") status = "SchedulingGated";
  const init = initialising(pod, counts);
  if (init) status = init;
  if (!init || condition(pod, "Initialized")?.status === "True") {
    status = running(pod, status, counts);
  }
  const over = phase === "Succeeded" || phase === "Failed";
  if (pod.metadata.deletionTimestamp) {
    if (pod.status?.reason === NODE_LOST) status = "Unknown";
    else if (!over) status = "Terminating";
  }
  const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar).length;
  const containers = pod.spec.containers.length + sidecars;
  return { status, tone: toneOf(status, counts, containers), containers, ...counts };
}

/** The sentence behind a state that is not well: why it waits, why it ended. */
export function reasons(pod: Pod): { source: string; text: string }[] {
  const found: { source: string; text: string }[] = [];
  if (pod.status?.message) found.push({ source: "", text: pod.status.message });
  const unscheduled = condition(pod, "PodScheduled");
  if (unscheduled?.status === "False" && unscheduled.message) {
    found.push({ source: "", text: unscheduled.message });
  }
  const statuses = [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
  ];
  for (const { name, state, lastState } of statuses) {
    const text = state?.waiting?.message || state?.terminated?.message;
    if (text) found.push({ source: name, text });
    const last = lastState?.terminated;
    if (last && !state?.terminated) {
      const message = last.message ? `: ${last.message}` : "";
      found.push({ source: name, text: `${ending(last)} (${last.exitCode})${message}` });
    }
  }
  return found;
}
