// A small cluster with something of everything, to look at while working on the page.

import { MockCluster } from "./cluster";

const DEPLOYMENTS = "/apis/apps/v1/deployments";
const MINUTE = 60_000;

function ago(minutes: number): string {
  return new Date(Date.now() - minutes * MINUTE).toISOString();
}

function node(cluster: MockCluster, name: string, ready: boolean, address: string) {
  cluster.put("/api/v1/nodes", name, {
    metadata: { creationTimestamp: ago(3000) },
    status: {
      conditions: [{ type: "Ready", status: ready ? "True" : "Unknown" }],
      allocatable: { cpu: "2", memory: "8142028Ki", pods: "1000" },
      addresses: [{ type: "InternalIP", address }],
      nodeInfo: {
        kubeletVersion: "v1.36.0",
        containerRuntimeVersion: "coracle://0.1.0",
        osImage: "",
      },
    },
  });
}

interface PodSketch {
  name: string;
  app: string;
  node?: string;
  image: string;
  minutes: number;
  state?: Record<string, unknown>;
  restarts?: number;
  phase?: string;
}

let last = 2;

export function pod(cluster: MockCluster, sketch: PodSketch, namespace = "default") {
  const { name, app, image, minutes, phase = "Running", restarts = 0 } = sketch;
  const state = sketch.state ?? { running: { startedAt: ago(minutes) } };
  const ready = "running" in state;
  cluster.put(
    "/api/v1/pods",
    name,
    {
      metadata: { creationTimestamp: ago(minutes), labels: { app } },
      spec: {
        containers: [{ name: app, image }],
        ...(sketch.node ? { nodeName: sketch.node } : {}),
      },
      status: {
        phase,
        ...(sketch.node ? { podIP: `10.42.0.${++last}` } : {}),
        containerStatuses: sketch.node
          ? [{ name: app, ready, restartCount: restarts, image, state }]
          : [],
      },
    },
    namespace,
  );
}

export function deployment(
  cluster: MockCluster,
  name: string,
  image: string,
  desired: number,
  ready: number,
  namespace = "default",
) {
  const labels = { app: name };
  cluster.put(
    DEPLOYMENTS,
    name,
    {
      metadata: { labels, generation: 1, creationTimestamp: ago(300) },
      spec: {
        replicas: desired,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name, image }] } },
      },
      status: {
        observedGeneration: 1,
        replicas: desired,
        readyReplicas: ready,
        updatedReplicas: desired,
        availableReplicas: ready,
      },
    },
    namespace,
  );
}

/** Three nodes, a few applications in all the states there are. */
export function scene(cluster = new MockCluster()): MockCluster {
  for (const name of ["default", "kube-system", "coracle-modules", "shop"]) {
    cluster.put("/api/v1/namespaces", name, {});
  }
  node(cluster, "coracle-0", true, "127.0.0.1");
  node(cluster, "coracle-1", true, "127.0.0.1");
  node(cluster, "coracle-2", true, "127.0.0.1");
  const image = "hello:v1";
  for (let index = 0; index < 9; index += 1) {
    const name = `hello-6d4cf56db6-${(index * 7919 + 4000).toString(36)}x`;
    pod(cluster, { name, app: "hello", node: `coracle-${index % 3}`, image, minutes: 20 + index });
  }
  deployment(cluster, "hello", image, 9, 9);
  const starting = { waiting: { reason: "ContainerCreating" } };
  for (const [index, name] of ["cart-5b9f7-aa1", "cart-5b9f7-bb2", "cart-5b9f7-cc3"].entries()) {
    const state = index === 0 ? undefined : starting;
    const sketch = { name, app: "cart", node: `coracle-${index}`, image: "cart:v4", minutes: 0.2 };
    const phase = state ? "Pending" : "Running";
    pod(cluster, { ...sketch, ...(state ? { state } : {}), phase }, "shop");
  }
  deployment(cluster, "cart", "cart:v4", 3, 1, "shop");
  pod(cluster, {
    name: "report-7c9-k2f9d",
    app: "report",
    node: "coracle-1",
    image: "report:v2",
    minutes: 12,
    restarts: 4,
    state: {
      waiting: {
        reason: "CrashLoopBackOff",
        message: "back-off 1m20s restarting failed container=report pod=report-7c9-k2f9d_default",
      },
    },
  });
  deployment(cluster, "report", "report:v2", 1, 0);
  pod(cluster, { name: "ticker", app: "ticker", node: "coracle-0", image: "ticker", minutes: 500 });
  pod(cluster, { name: "big-one", app: "big", image: "hello:v1", minutes: 3, phase: "Pending" });
  cluster.put(
    "/api/v1/services",
    "hello",
    {
      spec: {
        type: "NodePort",
        selector: { app: "hello" },
        ports: [{ port: 80, nodePort: 30817 }],
      },
    },
    "default",
  );
  for (const [name, form] of [
    ["hello", "HttpHandler"],
    ["ticker", "Command"],
    ["report", "CoreCommand"],
  ]) {
    const tag = { digest: `sha256:${"b".repeat(64)}`, size: 93_412, form, exports: [] };
    const imports = ["wasi:cli/environment@0.2.6", "wasi:io/streams@0.2.6"];
    const tags = [
      { ...tag, imports, name: "v2" },
      { ...tag, imports, name: "v1" },
    ];
    cluster.put("/apis/coracle.dev/v1/modules", name ?? "", { spec: { tags } }, "default");
  }
  let log = "";
  for (let tick = 1; tick <= 40; tick += 1) {
    log += `${new Date(Date.now() - (40 - tick) * 1000).toISOString()} tick ${tick}\n`;
  }
  cluster.setLog("ticker", log);
  return cluster;
}
