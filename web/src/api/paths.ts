// Where each kind lies in the API.

export const paths = {
  namespaces: "/api/v1/namespaces",
  nodes: "/api/v1/nodes",
  pods: "/api/v1/pods",
  services: "/api/v1/services",
  deployments: "/apis/apps/v1/deployments",
  modules: "/apis/coracle.dev/v1/modules",
} as const;

export type Kind = keyof typeof paths;

/** The path of one object, or without a name of all that a namespace has of the kind. */
export function within(kind: Kind, namespace: string, name?: string): string {
  const all = paths[kind];
  const split = all.lastIndexOf("/");
  const place = `${all.slice(0, split)}/namespaces/${encodeURIComponent(namespace)}${all.slice(split)}`;
  return name === undefined ? place : `${place}/${encodeURIComponent(name)}`;
}
