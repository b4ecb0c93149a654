import { describe, expect, it } from "vitest";
import type { ContainerStatus, Pod } from "../api/types";
import { reasons, summarise } from "./pod";

type Status = NonNullable<Pod["status"]>;

function pod(status: Status, extra: Partial<Pod["spec"]> = {}, deleted = false): Pod {
  return {
    metadata: {
      name: "web-0",
      uid: "1",
      resourceVersion: "1",
      creationTimestamp: "2026-01-01T00:00:00Z",
      ...(deleted ? { deletionTimestamp: "2026-01-01T00:01:00Z" } : {}),
    },
    spec: { containers: [{ name: "app", image: "app:v1" }], ...extra },
    status,
  };
}

function container(state: ContainerStatus["state"], rest: Partial<ContainerStatus> = {}) {
  return {
    name: "app",
    ready: false,
    restartCount: 0,
    ...(state ? { state } : {}),
    ...rest,
  };
}

const runs = container({ running: {} }, { ready: true });
const ended = (exitCode: number, reason?: string, signal?: number) =>
  container({
    terminated: {
      exitCode,
      ...(reason ? { reason } : {}),
      ...(signal ? { signal } : {}),
    },
  });

describe("the status of a pod is kubectl's", () => {
  const init = {
    initContainers: [
      { name: "a", image: "a" },
      { name: "b", image: "b" },
    ],
  };
  const cases: [string, Pod, Partial<ReturnType<typeof summarise>>][] = [
    ["not scheduled", pod({ phase: "Pending" }), { status: "Pending", tone: "busy", ready: 0 }],
    [
      "running",
      pod({ phase: "Running", containerStatuses: [runs] }),
      { status: "Running", tone: "good", ready: 1, containers: 1 },
    ],
    [
      "running, not ready",
      pod({ phase: "Running", containerStatuses: [container({ running: {} })] }),
      { status: "Running", tone: "busy", ready: 0 },
    ],
    [
      "creating",
      pod({
        phase: "Pending",
        containerStatuses: [container({ waiting: { reason: "ContainerCreating" } })],
      }),
      { status: "ContainerCreating", tone: "busy" },
    ],
    [
      "crashing",
      pod({
        phase: "Running",
        containerStatuses: [
          container({ waiting: { reason: "CrashLoopBackOff" } }, { restartCount: 5 }),
        ],
      }),
      { status: "CrashLoopBackOff", tone: "bad", restarts: 5 },
    ],
    [
      "completed",
      pod({ phase: "Succeeded", containerStatuses: [ended(0, "Completed")] }),
      { status: "Completed", tone: "done" },
    ],
    [
      "out of memory",
      pod({ phase: "Failed", containerStatuses: [ended(137, "OOMKilled")] }),
      { status: "OOMKilled", tone: "bad" },
    ],
    [
      "ended by a number",
      pod({ phase: "Failed", containerStatuses: [ended(3)] }),
      { status: "ExitCode:3", tone: "bad" },
    ],
    [
      "ended by a signal",
      pod({ phase: "Failed", containerStatuses: [ended(137, undefined, 9)] }),
      { status: "Signal:9", tone: "bad" },
    ],
    [
      "one container has completed, the other runs",
      pod({
        phase: "Running",
        conditions: [{ type: "Ready", status: "False" }],
        containerStatuses: [ended(0, "Completed"), { ...runs, name: "side" }],
      }),
      { status: "NotReady", tone: "busy", ready: 1 },
    ],
    ["evicted", pod({ phase: "Failed", reason: "Evicted" }), { status: "Evicted", tone: "bad" }],
    [
      "second init container runs",
      pod(
        {
          phase: "Pending",
          initContainerStatuses: [
            { ...ended(0, "Completed"), name: "a" },
            { ...container({ running: {} }), name: "b" },
          ],
          containerStatuses: [container({ waiting: { reason: "PodInitializing" } })],
        },
        init,
      ),
      { status: "Init:1/2", tone: "busy" },
    ],
    [
      "an init container fails",
      pod({ phase: "Pending", initContainerStatuses: [{ ...ended(1, "Error"), name: "a" }] }, init),
      { status: "Init:Error", tone: "bad" },
    ],
    [
      "a sidecar counts",
      pod(
        {
          phase: "Running",
          conditions: [{ type: "Initialized", status: "True" }],
          initContainerStatuses: [{ ...runs, name: "proxy", started: true, restartCount: 2 }],
          containerStatuses: [runs],
        },
        { initContainers: [{ name: "proxy", image: "p", restartPolicy: "Always" }] },
      ),
      { status: "Running", ready: 2, containers: 2, restarts: 2 },
    ],
    [
      "going",
      pod({ phase: "Running", containerStatuses: [runs] }, {}, true),
      { status: "Terminating", tone: "busy" },
    ],
    [
      "on a lost node",
      pod({ phase: "Running", reason: "NodeLost", containerStatuses: [runs] }, {}, true),
      { status: "Unknown", tone: "bad" },
    ],
  ];
  it.each(cases)("%s", (_, given, expected) => {
    expect(summarise(given)).toMatchObject(expected);
  });
});

it("says why a pod waits and how it ended before", () => {
  const state = { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s" } };
  const lastState = { terminated: { exitCode: 137, reason: "OOMKilled" } };
  const given = pod({
    conditions: [{ type: "PodScheduled", status: "False", message: "0/3 nodes are available" }],
    containerStatuses: [container(state, { lastState })],
  });
  expect(reasons(given).map(({ text }) => text)).toEqual([
    "0/3 nodes are available",
    "back-off 10s",
    "OOMKilled (137)",
  ]);
});
