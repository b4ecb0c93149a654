// The parts of Kubernetes' objects that the dashboard reads.

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  generation?: number;
  ownerReferences?: { kind: string; name: string; uid: string; controller?: boolean }[];
}

export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
}

export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason?: string;
  message?: string;
}

export interface ContainerState {
  waiting?: { reason?: string; message?: string };
  running?: { startedAt?: string };
  terminated?: { exitCode: number; signal?: number; reason?: string; message?: string };
}

export interface ContainerStatus {
  name: string;
  ready: boolean;
  started?: boolean;
  restartCount: number;
  image?: string;
  imageID?: string;
  state?: ContainerState;
  lastState?: ContainerState;
}

export interface Container {
  name: string;
  image: string;
  restartPolicy?: string;
  ports?: { containerPort: number }[];
}

export interface Pod extends KubeObject {
  spec: { nodeName?: string; containers: Container[]; initContainers?: Container[] };
  status?: {
    phase?: string;
    reason?: string;
    message?: string;
    podIP?: string;
    conditions?: Condition[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}

export interface Node extends KubeObject {
  spec?: { unschedulable?: boolean };
  status?: {
    conditions?: Condition[];
    capacity?: Record<string, string>;
    allocatable?: Record<string, string>;
    addresses?: { type: string; address: string }[];
    nodeInfo?: { kubeletVersion: string; containerRuntimeVersion: string; osImage: string };
  };
}

export interface Deployment extends KubeObject {
  spec: {
    replicas?: number;
    selector: { matchLabels?: Record<string, string> };
    paused?: boolean;
    template: {
      metadata?: { labels?: Record<string, string> };
      spec: { containers: Container[] };
    };
  };
  status?: {
    replicas?: number;
    readyReplicas?: number;
    updatedReplicas?: number;
    availableReplicas?: number;
    observedGeneration?: number;
    conditions?: Condition[];
  };
}

export interface Service extends KubeObject {
  spec: {
    type?: string;
    clusterIP?: string;
    selector?: Record<string, string>;
    ports?: { name?: string; port: number; nodePort?: number }[];
  };
}

export interface Module extends KubeObject {
  spec: {
    tags: {
      name: string;
      digest: string;
      size: number;
      form: Form;
      imports: string[];
      exports: string[];
      pushedAt?: string;
    }[];
  };
}

/** What was recognised in an upload. */
export type Form = "Command" | "HttpHandler" | "CoreCommand";

/** The answer to an upload. */
export interface Uploaded {
  image: string;
  digest: string;
  form: Form;
  size: number;
  imports: string[];
  exports: string[];
}

export interface List<T> {
  metadata: { resourceVersion: string; continue?: string };
  items: T[];
}

/** Kubernetes' answer to what it refuses. */
export interface Status {
  kind: "Status";
  message: string;
  reason: string;
  code: number;
}
