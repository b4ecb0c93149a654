// What a node says of itself, as the STATUS column of kubectl has it.

import type { Node } from "../api/types";
import type { Tone } from "./pod";

export function summarise(node: Node): { status: string; tone: Tone; ready: boolean } {
  const conditions = node.status?.conditions ?? [];
  const state = conditions.find((one) => one.type === "Ready")?.status;
  const ready = state === "True";
  let status = ready ? "Ready" : state === undefined ? "Unknown" : "NotReady";
  const pressed = conditions.filter(
    (one) => one.type.endsWith("Pressure") && one.status === "True",
  );
  for (const one of pressed) status += `,${one.type}`;
  if (node.spec?.unschedulable) status += ",SchedulingDisabled";
  const tone: Tone = !ready ? "bad" : pressed.length || node.spec?.unschedulable ? "busy" : "good";
  return { status, tone, ready };
}
