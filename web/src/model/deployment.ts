// How far a deployment has come.

import type { Condition, Deployment, Service } from "../api/types";
import type { Tone } from "./pod";

export interface DeploymentSummary {
  desired: number;
  ready: number;
  updated: number;
  tone: Tone;
  /** What the controller says is wrong, if anything is. */
  trouble: string;
}

function failed(condition: Condition): boolean {
  if (condition.type === "ReplicaFailure") return condition.status === "True";
  return condition.type === "Progressing" && condition.status === "False";
}

export function summarise(deployment: Deployment): DeploymentSummary {
  const desired = deployment.spec.replicas ?? 1;
  const status = deployment.status ?? {};
  const ready = status.readyReplicas ?? 0;
  const updated = status.updatedReplicas ?? 0;
  const bad = status.conditions?.find(failed);
  const seen = (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0);
  const complete =
    seen &&
    updated === desired &&
    (status.availableReplicas ?? 0) === desired &&
    (status.replicas ?? 0) === desired;
  const tone: Tone = bad ? "bad" : complete ? (desired === 0 ? "done" : "good") : "busy";
  return { desired, ready, updated, tone, trouble: bad?.message ?? bad?.reason ?? "" };
}

/** The services whose selector takes in the deployment's pods. */
export function servicesOf(deployment: Deployment, services: Service[]): Service[] {
  const labels = deployment.spec.template.metadata?.labels ?? {};
  return services.filter((service) => {
    const selector = Object.entries(service.spec.selector ?? {});
    return (
      service.metadata.namespace === deployment.metadata.namespace &&
      selector.length > 0 &&
      selector.every(([key, value]) => labels[key] === value)
    );
  });
}

/** Where a browser on `host` reaches the service, one address a node port. */
export function addresses(service: Service, host: string): string[] {
  const named = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return (service.spec.ports ?? []).flatMap((port) =>
    port.nodePort ? [`http://${named}:${port.nodePort}/`] : [],
  );
}
