import { expect, it } from "vitest";
import type { Deployment, Service } from "../api/types";
import { addresses, servicesOf, summarise } from "./deployment";

const metadata = {
  name: "hello",
  namespace: "default",
  uid: "1",
  resourceVersion: "1",
  creationTimestamp: "2026-01-01T00:00:00Z",
  generation: 2,
};

function deployment(status: Deployment["status"], replicas?: number): Deployment {
  return {
    metadata,
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      selector: { matchLabels: { app: "hello" } },
      template: { metadata: { labels: { app: "hello", tier: "web" } }, spec: { containers: [] } },
    },
    ...(status ? { status } : {}),
  };
}

const complete = {
  observedGeneration: 2,
  replicas: 3,
  readyReplicas: 3,
  updatedReplicas: 3,
  availableReplicas: 3,
};

it("is complete when the controller has seen it and old pods are gone", () => {
  expect(summarise(deployment(complete, 3)).tone).toBe("good");
  expect(summarise(deployment({ ...complete, observedGeneration: 1 }, 3)).tone).toBe("busy");
  expect(summarise(deployment({ ...complete, replicas: 4 }, 3)).tone).toBe("busy");
  expect(summarise(deployment({ ...complete, readyReplicas: 2, availableReplicas: 2 }, 3))).toEqual(
    {
      desired: 3,
      ready: 2,
      updated: 3,
      tone: "busy",
      trouble: "",
    },
  );
  expect(summarise(deployment(undefined)).desired).toBe(1);
  expect(summarise(deployment({ observedGeneration: 2 }, 0)).tone).toBe("done");
});

it("says what the controller says", () => {
  const conditions = [
    { type: "Progressing", status: "False" as const, message: "has timed out progressing." },
  ];
  const summary = summarise(deployment({ ...complete, conditions }, 3));
  expect(summary).toMatchObject({ tone: "bad", trouble: "has timed out progressing." });
});

it("finds the services of its pods", () => {
  const service = (selector: Record<string, string>, namespace = "default"): Service => ({
    metadata: { ...metadata, namespace },
    spec: { selector, ports: [{ port: 80, nodePort: 30080 }, { port: 81 }] },
  });
  const all = [
    service({ app: "hello" }),
    service({ app: "other" }),
    service({}),
    service({ app: "hello" }, "elsewhere"),
  ];
  expect(servicesOf(deployment(complete), all)).toEqual([all[0]]);
  expect(addresses(service({}), "127.0.0.1")).toEqual(["http://127.0.0.1:30080/"]);
  expect(addresses(service({}), "::1")).toEqual(["http://[::1]:30080/"]);
});
