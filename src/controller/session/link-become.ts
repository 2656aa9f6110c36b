import { type BecomeTalk, talkBecome } from "../../transport/become/talk.ts";
import type { RemoteProcess } from "../../transport/transport.ts";
import type { HostRunOptions } from "./host-run.ts";
import type { LaunchAs } from "./launch.ts";
import { tellUpload, writeBundle } from "./send-bundle.ts";

/** What a process on its way to another user is answered with. */
export interface LinkBecomeOptions {
  readonly host: Pick<HostRunOptions, "endpoint" | "bundle" | "emit">;
  readonly as: LaunchAs;
  readonly signal: AbortSignal;
  /** Called once the bundle has been written to it. */
  onSent(): void;
}

/** Answers what is asked before the process is the wanted user's. */
export function answerBecome(process: RemoteProcess, options: LinkBecomeOptions): BecomeTalk {
  const { endpoint, bundle } = options.host;
  const { host, user: login } = endpoint;
  const { become, nonce } = options.as;
  const { signal } = options;
  return talkBecome(process, {
    ...{ host, login, become, nonce, signal },
    sendBundle: async () => {
      await writeBundle(process, bundle.bytes, { signal, onProgress: tellUpload(options.host) });
      options.onSent();
    },
  });
}
