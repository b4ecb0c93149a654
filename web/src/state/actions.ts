// What a person can do to the cluster from the page.

import { type Client } from "../api/client";
import { within } from "../api/paths";
import type { Deployment, Form, Service } from "../api/types";

export interface Wish {
  namespace: string;
  name: string;
  image: string;
  form: Form;
  replicas: number;
  /** Arguments of the program. */
  args: string[];
  /** Port of the service of an HTTP handler, if it is to have one. */
  port: number | undefined;
}

/** Where an HTTP handler listens when its container says so. */
const HANDLER_PORT = 80;

function containerOf({ name, image, form, args }: Wish) {
  return {
    name,
    image,
    ...(args.length > 0 ? { args } : {}),
    ...(form === "HttpHandler" ? { ports: [{ name: "http", containerPort: HANDLER_PORT }] } : {}),
  };
}

export function createDeployment(client: Client, wish: Wish): Promise<Deployment> {
  const labels = { app: wish.name };
  return client.create(within("deployments", wish.namespace), {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: wish.name, labels },
    spec: {
      replicas: wish.replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [containerOf(wish)] } },
    },
  });
}

/** Lets the existing deployment run another image in its first container. */
export function updateDeployment(
  client: Client,
  existing: Deployment,
  wish: Wish,
): Promise<Deployment> {
  const container = existing.spec.template.spec.containers[0]?.name ?? wish.name;
  return client.patch(within("deployments", wish.namespace, wish.name), {
    spec: {
      replicas: wish.replicas,
      template: { spec: { containers: [{ ...containerOf(wish), name: container }] } },
    },
  });
}

/** A service on a port of the host, which goes when its deployment goes. */
export function createService(
  client: Client,
  { metadata, spec }: Deployment,
  port: number,
): Promise<Service> {
  const { name, namespace = "default", uid } = metadata;
  return client.create(within("services", namespace), {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name,
      labels: { app: name },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "Deployment", name, uid }],
    },
    spec: {
      type: "NodePort",
      selector: spec.selector.matchLabels ?? {},
      ports: [{ name: "http", port, targetPort: HANDLER_PORT }],
    },
  });
}

export function scale(client: Client, { metadata }: Deployment, replicas: number) {
  const { namespace = "default", name } = metadata;
  const path = `${within("deployments", namespace, name)}/scale`;
  return client.patch(path, { spec: { replicas } }, "application/merge-patch+json");
}

/** As `kubectl rollout restart` does it. */
export function restart(client: Client, { metadata }: Deployment) {
  const annotations = { "kubectl.kubernetes.io/restartedAt": new Date().toISOString() };
  const { namespace = "default", name } = metadata;
  return client.patch(within("deployments", namespace, name), {
    spec: { template: { metadata: { annotations } } },
  });
}
