import { expect, it } from "vitest";
import type { Condition, Node } from "../api/types";
import { summarise } from "./node";

function node(conditions: Condition[], unschedulable = false): Node {
  const metadata = { name: "n", uid: "1", resourceVersion: "1", creationTimestamp: "" };
  return { metadata, spec: { unschedulable }, status: { conditions } };
}

it.each([
  [node([{ type: "Ready", status: "True" }]), "Ready", "good"],
  [node([{ type: "Ready", status: "Unknown" }]), "NotReady", "bad"],
  [node([]), "Unknown", "bad"],
  [node([{ type: "Ready", status: "True" }], true), "Ready,SchedulingDisabled", "busy"],
  [
    node([
      { type: "Ready", status: "True" },
      { type: "MemoryPressure", status: "True" },
      { type: "DiskPressure", status: "False" },
    ]),
    "Ready,MemoryPressure",
    "busy",
  ],
])("node %#", (given, status, tone) => {
  expect(summarise(given)).toMatchObject({ status, tone });
});
