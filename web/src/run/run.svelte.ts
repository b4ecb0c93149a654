// From a file to a deployment: what the form holds, and the steps after it is sent.

import { upload } from "../api/upload";
import type { Deployment, Form, Module } from "../api/types";
import { isLabel, isServiceName, isTag, nameFor, nextTag } from "../model/names";
import { recognise, type Recognised } from "../model/wasm";
import { createDeployment, createService, updateDeployment } from "../state/actions";
import type { Cluster } from "../state/cluster.svelte";
import { settings } from "../state/settings.svelte";
import { reasonOf } from "../state/toasts.svelte";
import type { Start } from "./runner.svelte";

/** Modules of this namespace can be named from every other one. */
const READY_MADE = "coracle-modules";

export class Run {
  step = $state<"form" | "uploading" | "creating" | "rollout">("form");
  share = $state(0);
  failure = $state("");
  warning = $state("");
  deployment = $state.raw<Deployment>();

  file = $state.raw<File>();
  recognised = $state.raw<Recognised>();
  name = $state("");
  namespace = $state(settings.namespace || "default");
  args = $state("");
  expose = $state(true);
  port = $state(80);
  #tag = $state("");
  #replicas = $state<number>();

  readonly module: Module | undefined;
  readonly image: { tag: string; form: Form } | undefined;
  private readonly stopped = new AbortController();

  constructor(
    private readonly cluster: Cluster,
    { file, module, tag }: Start,
  ) {
    this.module = module;
    const held = module?.spec.tags.find((one) => one.name === tag);
    if (module && held) {
      this.image = { tag: held.name, form: held.form };
      this.name = module.metadata.name;
      const home = module.metadata.namespace ?? "default";
      if (home !== READY_MADE) this.namespace = home;
      else if (this.namespace === READY_MADE) this.namespace = "default";
    }
    if (file) void this.choose(file);
  }

  /** The deployment that has the name already. */
  existing = $derived.by(() => this.named(this.cluster.deployments.items));

  #suggested = $derived.by(() => {
    const tags = this.named(this.cluster.modules.items)?.spec.tags ?? [];
    return nextTag(tags.map((tag) => tag.name));
  });

  /** Unless one was written, the tag after the last one: a tag that changes updates no pod. */
  get tag() {
    return this.#tag || this.#suggested;
  }

  set tag(tag: string) {
    this.#tag = tag;
  }

  /** Unless a number was written, as many as the deployment has already. */
  get replicas() {
    return this.#replicas ?? this.existing?.spec.replicas ?? 1;
  }

  set replicas(replicas: number) {
    this.#replicas = replicas;
  }

  http = $derived.by(() =>
    this.image ? this.image.form === "HttpHandler" : (this.recognised?.http ?? false),
  );

  nameOk = $derived.by(() => isServiceName(this.name));
  namespaceOk = $derived.by(() => isLabel(this.namespace));
  tagOk = $derived.by(() => isTag(this.tag));
  portOk = $derived.by(() => Number.isInteger(this.port) && this.port > 0 && this.port < 65536);
  ok = $derived.by(() => {
    const known =
      this.image !== undefined || (this.recognised && this.recognised.look !== "notWasm");
    const rest = this.nameOk && this.namespaceOk && this.tagOk;
    return Boolean(known) && rest && (!this.http || !this.expose || this.portOk);
  });

  async choose(file: File) {
    this.file = file;
    this.failure = "";
    if (!this.name) this.name = nameFor(file.name);
    try {
      this.recognised = recognise(new Uint8Array(await file.arrayBuffer()));
    } catch (error) {
      this.failure = reasonOf(error);
    }
  }

  async go(): Promise<void> {
    if (!this.ok) return;
    this.failure = "";
    try {
      const { image, form } = await this.imageAndForm();
      this.step = "creating";
      const http = form === "HttpHandler";
      const wish = {
        namespace: this.namespace,
        name: this.name,
        image,
        form,
        replicas: Math.max(0, Math.trunc(this.replicas)),
        args: this.args.split(/\s+/).filter(Boolean),
        port: http && this.expose ? this.port : undefined,
      };
      const { client } = this.cluster;
      const { existing } = this;
      this.deployment = existing
        ? await updateDeployment(client, existing, wish)
        : await createDeployment(client, wish);
      if (wish.port !== undefined && !existing) {
        await createService(client, this.deployment, wish.port).catch((error: unknown) => {
          this.warning = reasonOf(error);
        });
      }
      this.step = "rollout";
    } catch (error) {
      if (!this.stopped.signal.aborted) this.failure = reasonOf(error);
      this.step = "form";
    }
  }

  stop() {
    this.stopped.abort();
  }

  private async imageAndForm(): Promise<{ image: string; form: Form }> {
    if (this.module && this.image) {
      const { tag, form } = this.image;
      return { image: `${this.module.metadata.name}:${tag}`, form };
    }
    if (!this.file) throw new Error("no file was chosen");
    this.step = "uploading";
    this.share = 0;
    const { file, namespace, name, tag } = this;
    const { token } = this.cluster.client;
    const onProgress = (share: number) => {
      this.share = share;
    };
    return upload(token, { file, namespace, name, tag }, onProgress, this.stopped.signal);
  }

  private named<T extends { metadata: { name: string; namespace?: string } }>(items: T[]) {
    return items.find(
      ({ metadata }) => metadata.name === this.name && metadata.namespace === this.namespace,
    );
  }
}
