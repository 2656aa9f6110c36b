import type { FanOutListener } from "./fan-out.ts";
import { createOutputStore, type KeptOutput, type OutputKeeper } from "./kept-output.ts";
import type { HostResult } from "./result.ts";

/** Hosts on which a command went the same way and printed the same. */
export interface FoldedHosts {
  readonly hosts: readonly string[];
  /** That of the first of them. */
  readonly result: HostResult;
  readonly stdout: KeptOutput;
  readonly stderr: KeptOutput;
}

/** Puts hosts with the same output together, holding each output once. */
export interface Fold {
  readonly listener: FanOutListener;
  /** The largest first; of equal ones that with the first host by name, whichever answered first. */
  groups(): readonly FoldedHosts[];
  close(): Promise<void>;
}

const byName = new Intl.Collator("en", { numeric: true });

function firstOf(hosts: readonly string[]): string {
  return hosts.reduce((first, host) => (byName.compare(host, first) < 0 ? host : first));
}

/** Makes a {@link Fold}; outputs beyond 16 KiB are kept on disk until it is closed. */
export function createFold(): Fold {
  const store = createOutputStore();
  const working = new Map<string, { readonly stdout: OutputKeeper; readonly stderr: OutputKeeper }>();
  const groups = new Map<string, Omit<FoldedHosts, "hosts"> & { readonly hosts: string[] }>();
  const keepersOf = (host: string) => {
    const keepers = working.get(host) ?? { stdout: store.keeper(), stderr: store.keeper() };
    working.set(host, keepers);
    return keepers;
  };
  return {
    listener: {
      output: (host, stream, chunk) => keepersOf(host)[stream].add(chunk),
      end: async (result) => {
        const keepers = keepersOf(result.host);
        working.delete(result.host);
        const stdout = await keepers.stdout.finish();
        const stderr = await keepers.stderr.finish();
        const key = JSON.stringify([result.outcome, result.exit, stdout.digest, stderr.digest]);
        const group = groups.get(key);
        if (group === undefined) {
          groups.set(key, { hosts: [result.host], result, stdout, stderr });
          return;
        }
        group.hosts.push(result.host);
        await stdout.discard();
        await stderr.discard();
      },
    },
    groups: () =>
      [...groups.values()].sort(
        (one, other) =>
          other.hosts.length - one.hosts.length || byName.compare(firstOf(one.hosts), firstOf(other.hosts)),
      ),
    close: () => store.close(),
  };
}
