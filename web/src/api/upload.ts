// Sends a file to the registry. `fetch` tells nothing about an upload's progress, hence the older
// way of asking.

import { ApiError, refusalOf } from "./client";
import type { Uploaded } from "./types";

export interface Upload {
  file: Blob;
  namespace: string;
  name: string;
  tag: string;
}

export function upload(
  token: string,
  { file, namespace, name, tag }: Upload,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<Uploaded> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const place = [namespace, `${name}:${tag}`].map(encodeURIComponent).join("/");
    request.open("PUT", `/upload/${place}`);
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.setRequestHeader("Content-Type", "application/wasm");
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    };
    request.onload = () => {
      if (request.status < 300) resolve(JSON.parse(request.responseText) as Uploaded);
      else reject(refusalOf(request.status, request.statusText, request.responseText));
    };
    request.onerror = () => reject(new ApiError("the server cannot be reached", 0, ""));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
