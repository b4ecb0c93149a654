// Names that a person would give, made from what they dropped.

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

export function isLabel(name: string): boolean {
  return LABEL.test(name);
}

/** Names of Services must begin with a letter. */
export function isServiceName(name: string): boolean {
  return isLabel(name) && /^[a-z]/.test(name);
}

export function isTag(tag: string): boolean {
  return TAG.test(tag);
}

/** `My_App (2).wasm` becomes `my-app-2`. */
export function nameFor(file: string): string {
  const stem = file.replace(/^.*[\\/]/, "").replace(/(\.component)?\.wasm$/i, "");
  const name = stem
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^[-0-9]+/, "")
    .slice(0, 50)
    .replace(/-+$/, "");
  return name || "app";
}

/** The tag after the highest numbered one: `v1`, then `v2`. */
export function nextTag(tags: string[]): string {
  const numbers = tags.map((tag) => Number(/^v(\d{1,9})$/.exec(tag)?.[1] ?? 0));
  return `v${Math.max(0, ...numbers) + 1}`;
}
