// The cluster as the page sees it: a client, and a live list of each kind.

import { createContext } from "svelte";
import type { Client } from "../api/client";
import { paths } from "../api/paths";
import type { Deployment, KubeObject, Module, Node, Pod, Service } from "../api/types";
import { LiveList } from "./live.svelte";

export class Cluster {
  readonly namespaces: LiveList<KubeObject>;
  readonly nodes: LiveList<Node>;
  readonly pods: LiveList<Pod>;
  readonly services: LiveList<Service>;
  readonly deployments: LiveList<Deployment>;
  readonly modules: LiveList<Module>;

  constructor(readonly client: Client) {
    this.namespaces = new LiveList<KubeObject>(client, paths.namespaces);
    this.nodes = new LiveList<Node>(client, paths.nodes);
    this.pods = new LiveList<Pod>(client, paths.pods);
    this.services = new LiveList<Service>(client, paths.services);
    this.deployments = new LiveList<Deployment>(client, paths.deployments);
    this.modules = new LiveList<Module>(client, paths.modules);
  }

  close() {
    const lists = [this.namespaces, this.nodes, this.pods, this.services];
    for (const list of [...lists, this.deployments, this.modules]) list.close();
  }
}

export const [useCluster, provideCluster] = createContext<Cluster>();

/** Follows `lists` for the life of the component that calls it. */
export function watching(...lists: { use(): () => void }[]) {
  $effect(() => {
    const ends = lists.map((list) => list.use());
    return () => ends.forEach((end) => end());
  });
}
